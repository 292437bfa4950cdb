#include "profiler/profiler.h"

#include <fmt/chrono.h>
#include <torch/version.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>
#include <string>

#include "dispatch/capture.h"
#include "profiler/timing.h"

namespace stint {
namespace {

std::string HostName() {
  std::array<char, 256> name{};
  gethostname(name.data(), name.size() - 1);
  return name.data();
}

std::int64_t NanosecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() -
                                                              start)
      .count();
}

}  // namespace

Profile RecordProfile(const Program& program, const Workload& workload, DeviceRuntime& runtime,
                      const ProfileOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  const std::string date = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
  runtime.SetDeterministic(options.is_deterministic);
  const Device device = runtime.Describe();

  const std::int64_t bytes_before = runtime.ProcessBytes();
  std::int64_t peak_bytes = 0;
  CaptureOptions capture;
  capture.on_op = options.on_op;
  capture.on_run = [&] {
    peak_bytes = std::max(peak_bytes, runtime.ProcessBytes() - bytes_before);
  };
  if (options.with_times) {
    capture.time_op = [&](const std::function<void()>& issue) { return TimeOp(runtime, issue); };
  }

  Profile profile = CaptureProgram(program, runtime, capture);
  profile.workload = workload;
  profile.device = device;
  // Kernels are loaded when they first run: now the driver knows what all of them take.
  profile.device.overhead_bytes = runtime.Describe().overhead_bytes;
  profile.is_deterministic = options.is_deterministic;
  profile.context = {.date = date,
                     .host = HostName(),
                     .version = "stint " STINT_VERSION ", torch " TORCH_VERSION,
                     .wall_time_ns = NanosecondsSince(start),
                     .peak_memory_bytes = peak_bytes};
  Validate(profile);
  return profile;
}

}  // namespace stint
