// CheckPlan said again in the simplest way: runs the program as recorded and as planned on made-up
// contents and compares what every op reads; draws every residence and request as a rectangle of
// space and time and compares all pairs. Quadratic, and shares nothing with ir/check_plan.cc but
// the effects of the ops.
#pragma once

#include <cstdint>
#include <string>

#include "ir/plan.h"
#include "ir/profile.h"

namespace stint::fixtures {

/// What the instructions of a plan amount to.
struct PlanNumbers {
  std::int64_t peak_bytes = 0;
  std::int64_t arena_bytes = 0;
  std::int64_t host_bytes = 0;
  std::int64_t duration_ns = 0;  // Of its computes.
};

struct NaiveVerdict {
  std::string fault{};  // In words; empty if the plan is right, its head aside.
  PlanNumbers numbers{};
};

/// For plans that pass Validate. Plans of repeated phases run their body at most three times.
NaiveVerdict NaiveCheckPlan(const Profile& profile, const Plan& plan);

/// The whole of CheckPlan: the verdict, and the head. Empty if the plan is right.
std::string NaiveFault(const Profile& profile, const Plan& plan);

}  // namespace stint::fixtures
