#include "executor/verify.h"

#include <ATen/ATen.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <set>
#include <utility>

#include "ir/errors.h"

namespace stint {
namespace {

std::string ResultName(const std::string& name, BufferRole role) {
  return role == BufferRole::kGradient ? "grad:" + name : name;
}

/// The elements of `tensor` as a flat tensor on the CPU: in the order of memory where they fill
/// their storage, else in their own order.
at::Tensor Flat(const at::Tensor& tensor) {
  const at::Tensor plain = tensor.detach();
  const bool fills_storage =
      plain.is_non_overlapping_and_dense() && plain.nbytes() == plain.storage().nbytes();
  return fills_storage ? plain.as_strided({plain.numel()}, {1}, 0).to(at::kCPU)
                       : plain.flatten().to(at::kCPU);
}

/// Tells contents apart, word by word; `tensor` fills its storage and is on the CPU.
std::uint64_t DigestOf(const at::Tensor& tensor) {
  const auto* const bytes = static_cast<const std::byte*>(tensor.const_data_ptr());
  const std::size_t byte_count = tensor.nbytes();
  std::uint64_t digest = byte_count;
  for (std::size_t i = 0; i < byte_count; i += sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes + i, std::min(sizeof(word), byte_count - i));
    digest = (digest ^ word) * 0x9e3779b97f4a7c15;
    digest ^= digest >> 29;
  }
  return digest;
}

/// Runs a program as it stands, with real tensors.
class EagerHost final : public ProgramHost {
 public:
  EagerHost(DeviceKind kind, const LoadValue& load)
      : device_(kind == DeviceKind::kCpu ? at::Device(at::kCPU)
                                         : c10::impl::getDeviceGuardImpl(at::kCUDA)->getDevice()),
        load_(load) {}

  torch::Device device() const override { return device_; }

  torch::Tensor Persistent(const std::string& name, BufferRole role,
                           const std::vector<std::int64_t>& sizes, torch::ScalarType dtype,
                           torch::MemoryFormat format) override {
    const at::Tensor value = at::empty(sizes, at::TensorOptions(dtype).device(at::kCPU), format);
    const auto size_bytes = static_cast<std::int64_t>(value.nbytes());
    load_({.name = name, .role = role, .size_bytes = size_bytes, .is_persistent = true}, value);
    const at::Tensor tensor = value.to(device_);
    persistent_.push_back({.name = name, .tensor = tensor, .digest = DigestOf(value)});
    return tensor;
  }

  void Phase(const std::string& /*name*/, std::int64_t repeat_count,
             const std::function<void()>& body) override {
    for (std::int64_t i = 0; i < repeat_count; ++i) body();
  }

  void Mark(const torch::Tensor& tensor, const std::string& name, BufferRole role) override {
    results_[ResultName(name, role)] = Flat(tensor).clone();  // Later ops may write it.
  }

  /// What was marked, and the persistent tensors that changed; those that did not are let go, as
  /// frozen weights are most of the memory. (Not every op that writes one says so to autograd.)
  Results TakeResults() {
    for (PersistentTensor& persistent : persistent_) {
      const at::Tensor value = Flat(std::exchange(persistent.tensor, {}));
      if (DigestOf(value) != persistent.digest) results_[persistent.name] = value;
    }
    return std::move(results_);
  }

 private:
  struct PersistentTensor {
    std::string name{};
    at::Tensor tensor{};
    std::uint64_t digest = 0;  // Of its first value.
  };

  at::Device device_;
  const LoadValue& load_;
  std::vector<PersistentTensor> persistent_;
  Results results_;
};

bool IsEqualBitwise(const at::Tensor& a, const at::Tensor& b) {
  return a.scalar_type() == b.scalar_type() && a.nbytes() == b.nbytes() &&
         std::memcmp(a.const_data_ptr(), b.const_data_ptr(), a.nbytes()) == 0;
}

/// Whether `value` is what the unplanned run left: a persistent buffer missing from `expected` did
/// not change there.
bool IsAsExpected(const Results& expected, const std::string& name, const Buffer& buffer,
                  const at::Tensor& value, const LoadValue& load) {
  const auto found = expected.find(name);
  if (found != expected.end()) return IsEqualBitwise(found->second, value);
  if (!buffer.is_persistent) return false;
  const at::Tensor first_value = at::empty_like(value);
  load(buffer, first_value);
  return IsEqualBitwise(first_value, value);
}

}  // namespace

Results RunUnplanned(const Program& program, DeviceRuntime& runtime, const LoadValue& load) {
  runtime.SetDeterministic(true);
  EagerHost host(runtime.kind(), load);
  program(host);
  return host.TakeResults();
}

Report ExecuteAndVerify(const Profile& profile, const Plan& plan, DeviceRuntime& runtime,
                        const LoadValue& load, const Results& expected, ExecuteOptions options) {
  std::map<std::string, BufferRole> seen;
  std::set<std::string> differing;
  options.on_result = [&, inner = std::move(options.on_result)](const Buffer& buffer,
                                                                const torch::Tensor& value) {
    if (inner) inner(buffer, value);
    const std::string name = ResultName(buffer.name, buffer.role);
    seen[name] = buffer.role;
    // A repeated phase shows its gradients again; the unplanned run keeps the last ones, too.
    differing.erase(name);
    if (!IsAsExpected(expected, name, buffer, value, load)) differing.insert(name);
  };
  Report report = Execute(profile, plan, runtime, load, options);

  for (const auto& [name, value] : expected) {
    if (!seen.contains(name)) differing.insert(name);  // The plan lost it.
  }
  Verification verification{.differing = {differing.begin(), differing.end()}};
  for (const auto& [name, role] : seen) {
    ++(role == BufferRole::kOutput     ? verification.output_count
       : role == BufferRole::kGradient ? verification.gradient_count
                                       : verification.weight_count);
  }
  report.verification = std::move(verification);
  return report;
}

}  // namespace stint
