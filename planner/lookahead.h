// Builds one schedule within a budget, op by op in the order of the program: brings back what an op
// reads and lacks, and makes room by evicting what costs least to have back for its bytes and
// distance.
//
//     step          t: op t reads y, which is gone; y = f(x), x is resident
//     instructions  ... free z      compute f -> y    free w     compute t ...
//                       room for f                    room for t
#pragma once

#include <cstdint>
#include <optional>

#include "ir/profile.h"
#include "planner/program.h"
#include "planner/solver.h"
#include "planner/work_meter.h"

namespace stint {

/// Evicts the candidate with the least remake cost^cost_power / (bytes^bytes_power *
/// distance^distance_power), the distance counted in ops.
struct EvictionRule {
  double cost_power = 1;
  double bytes_power = 1;
  double distance_power = 1;
  double headroom = 0;  // Part of the movable budget that first runs of ops leave free, so that
                        // bursts of recomputation find room; in [0, 1).
};

/// Empty if the rule finds no schedule within `budget_bytes` that is faster than
/// `duration_limit_ns`, or `work` is spent.
std::optional<Schedule> BuildLookahead(const Profile& profile, const Program& program,
                                       std::int64_t budget_bytes, const EvictionRule& rule,
                                       std::int64_t duration_limit_ns, WorkMeter& work);

}  // namespace stint
