#include "dispatch/device_runtime.h"

#include <ATen/Context.h>

#include <charconv>
#include <string_view>

#include "dispatch/device_parts.h"
#include "ir/errors.h"

namespace stint {
namespace {

/// The number in "cuda:7"; 0 in "cuda".
int CudaIndex(std::string_view name) {
  std::string_view digits = name.substr(std::string_view("cuda").size());
  if (digits.empty()) return 0;
  int index = -1;
  if (digits.front() == ':') {
    digits.remove_prefix(1);
    const auto [end, error] = std::from_chars(digits.begin(), digits.end(), index);
    if (error != std::errc{} || end != digits.end()) index = -1;
  }
  if (index < 0) {
    throw InputError("--device",
                     "'" + std::string(name) + "' is no device: use cpu, cuda or cuda:0");
  }
  return index;
}

}  // namespace

void ChooseKernels(bool is_deterministic) {
  at::Context& context = at::globalContext();
  context.setDeterministicAlgorithms(is_deterministic, /*warn_only=*/false);
  context.setDeterministicCuDNN(is_deterministic);
  context.setDeterministicMkldnn(is_deterministic);
  context.setBenchmarkCuDNN(false);
  // Would fill every output before its op writes it: time for nothing.
  context.setDeterministicFillUninitializedMemory(false);
}

std::unique_ptr<DeviceRuntime> MakeDeviceRuntime(const std::string& name) {
  if (name == "cpu") return MakeCpuRuntime();
  if (name.starts_with("cuda")) return MakeCudaRuntime(CudaIndex(name));
  throw InputError("--device", "'" + name + "' is no device: use cpu, cuda or cuda:0");
}

}  // namespace stint
