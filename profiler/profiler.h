// From a program to its profile: capture, timings, and what the device says about itself.
#pragma once

#include <cstdint>
#include <functional>

#include "dispatch/device_runtime.h"
#include "dispatch/program.h"
#include "ir/profile.h"

namespace stint {

struct ProfileOptions {
  bool is_deterministic = false;  // Record with deterministic kernels.
  bool with_times = true;         // False: durations stay 0 (for twins that only check results).
  std::function<void(std::int64_t op_count)> on_op{};  // Progress; may be empty.
};

/// Records `program` on `runtime`'s device. The result is valid (see Validate) and carries
/// `workload`.
/// @throws InputError as CaptureProgram does.
Profile RecordProfile(const Program& program, const Workload& workload, DeviceRuntime& runtime,
                      const ProfileOptions& options);

}  // namespace stint
