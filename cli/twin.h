// The deterministic twin of a profile and a plan: the same workload recorded with deterministic
// kernels, planned by the same solver for the same budget. Its results can be compared with an
// unplanned run's bit for bit; those of fast kernels differ from run to run.
#pragma once

#include "dispatch/device_runtime.h"
#include "ir/plan.h"
#include "ir/profile.h"
#include "planner/make_plan.h"

namespace stint {

struct Twin {
  Profile profile{};
  PlanAnswer answer{};  // Of the same solver and budget; its plan passed CheckPlan.
};

/// A profile that is deterministic is its own twin, and `plan` the twin's plan. Otherwise ops of
/// the twin are not timed: they take the durations of the profile's ops of the same name, in order.
Twin MakeTwin(const Profile& profile, const Plan& plan, DeviceRuntime& runtime);

}  // namespace stint
