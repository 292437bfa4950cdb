// What a step takes beyond the times of its ops, each repeated by itself: other data lies in the
// caches, each kernel follows another one, copies run beside, streams wait for each other.
#pragma once

#include <cstdint>
#include <functional>

#include "dispatch/device_runtime.h"
#include "ir/profile.h"

namespace stint {

struct StepTimes {
  std::int64_t step_permille = 1000;        // Ops in a row, of the sum of their times.
  std::int64_t wait_ns = 0;                 // As in Device.
  std::int64_t copy_slowdown_permille = 0;  // As in Device.
};

/// Runs the ops of `profile`, which has times, in stretches of some milliseconds at most that find
/// room in `memory_bytes` of scratch memory (one op may take more), each as a graph; random ops are
/// left out. Every few stretches also with waits around each op, and beside copies.
/// `on_run` is called while scratch memory is taken; may be empty.
/// On a device without graphs nothing is run, and nothing comes on top.
StepTimes MeasureStepTimes(const Profile& profile, DeviceRuntime& runtime,
                           std::int64_t memory_bytes, const std::function<void()>& on_run);

}  // namespace stint
