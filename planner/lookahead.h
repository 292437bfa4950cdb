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
#include <vector>

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

/// Decides instead of a rule what is evicted, and sees all that happens meanwhile.
class EvictionScorer {
 public:
  EvictionScorer() = default;
  EvictionScorer(const EvictionScorer&) = delete;
  EvictionScorer& operator=(const EvictionScorer&) = delete;
  virtual ~EvictionScorer() = default;

  /// The candidate with the least score goes; of equal ones the first.
  virtual double Score(BufferId buffer) = 0;
  /// An op ran, first or again; `kept` of what it makes is now resident.
  virtual void SawRun(const ProgramOp& op, const std::vector<BufferId>& kept) = 0;
  /// A buffer went that will be needed again.
  virtual void SawEviction(BufferId buffer) = 0;
};

/// Empty if the rule finds no schedule within `budget_bytes` that is faster than
/// `duration_limit_ns`, or `work` is spent.
std::optional<Schedule> BuildLookahead(const Profile& profile, const Program& program,
                                       std::int64_t budget_bytes, const EvictionRule& rule,
                                       std::int64_t duration_limit_ns, WorkMeter& work);

/// The same with a scorer in place of a rule.
std::optional<Schedule> BuildLookahead(const Profile& profile, const Program& program,
                                       std::int64_t budget_bytes, EvictionScorer& scorer,
                                       std::int64_t duration_limit_ns, WorkMeter& work);

}  // namespace stint
