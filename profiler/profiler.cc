#include "profiler/profiler.h"

#include <fmt/chrono.h>
#include <torch/version.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <ctime>
#include <string>

#include "dispatch/capture.h"
#include "profiler/step_times.h"
#include "profiler/timing.h"

namespace stint {
namespace {

constexpr std::int64_t kStretchBytes = 256 << 20;  // For stretches of ops, where one takes less.

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

/// Durations become those of ops in a row.
void TakeOver(const StepTimes& step, Profile& profile) {
  const auto in_row = [&](std::int64_t time_ns) {
    return std::llround(static_cast<double>(time_ns) * static_cast<double>(step.step_permille) /
                        1000.0);
  };
  for (Op& op : profile.ops) {
    op.duration_ns = in_row(op.duration_ns);
    op.spread_ns = in_row(op.spread_ns);
  }
  profile.device.wait_ns = step.wait_ns;
  profile.device.copy_slowdown_permille = step.copy_slowdown_permille;
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
  StepTimes step;
  if (options.with_times) {
    step = MeasureStepTimes(profile, runtime, std::max(peak_bytes, kStretchBytes), capture.on_run);
    TakeOver(step, profile);
  }
  // Kernels are loaded when they first run: now the driver knows what all of them take.
  profile.device.overhead_bytes = runtime.Describe().overhead_bytes;
  profile.is_deterministic = options.is_deterministic;
  profile.context = {.date = date,
                     .host = HostName(),
                     .version = "stint " STINT_VERSION ", torch " TORCH_VERSION,
                     .wall_time_ns = NanosecondsSince(start),
                     .peak_memory_bytes = peak_bytes,
                     .step_permille = step.step_permille};
  Validate(profile);
  return profile;
}

}  // namespace stint
