// Replays a plan on paper. Shares no arithmetic with planner/, so that neither can hide the
// other's bugs; O(instructions + requests), no device memory.
#pragma once

#include "ir/plan.h"
#include "ir/profile.h"
#include "ir/report.h"

namespace stint {

/// Runs `plan` over `profile`, one instruction after another on one compute stream, copies on two
/// streams of their own:
///
///     instruction          live during it           after it
///     compute A -> a       a + requests of A        a
///     compute B: a -> b    a + b + requests of B    a, b
///     free a               a + b                    b
///
/// @throws InputError if an instruction reads or frees a buffer that is not resident at that point.
Report Simulate(const Profile& profile, const Plan& plan);

}  // namespace stint
