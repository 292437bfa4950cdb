// From a profile and a budget to a checked plan: solve, place, and if the arena came out higher
// than the budget, solve again for less.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "ir/plan.h"
#include "ir/profile.h"
#include "planner/solver.h"

namespace stint {

struct PlanRequest {
  std::int64_t budget_bytes = 0;  // Device memory of the whole process; > 0. Ignored by keep-all
                                  // without a budget (see below).
  bool has_budget = true;         // False: as much as it takes (the budget becomes what is used).
  bool limits_arena = true;  // False: the budget is for the bytes live at once, as in the figures
                             // of planners that give no addresses; the plan's own budget_bytes is
                             // then what its arena takes, if that is more.
  std::string solver = "greedy";       //
  bool has_snapshot = false;           // The plan can save what it trains: room for that on the
                                       // host, see Plan::snapshot.
  std::int64_t host_budget_bytes = 0;  // Pinned host memory, of the snapshot and of what the plan
                                       // moves there; 0: as much as it takes.
  SolveOptions options{};              // The limits hold for all rounds together.
};

struct PlanAnswer {
  SolveStatus status{};
  std::optional<Plan> plan{};         // Passes CheckPlan. Set if kOptimal or kFeasible.
  std::int64_t min_budget_bytes = 0;  // Process budget below which nothing can work (proved).
  std::int64_t min_host_bytes = 0;    // If the host budget is why there is no plan: what the plan
                                      // that was found takes, or all plans if kInfeasible.
  std::string binding{};              // The op and buffers that say so, in words.
};

/// Deterministic when only a work limit is set.
/// @throws InputError if the profile is malformed or the solver unknown. An impossible budget is an
/// answer.
PlanAnswer MakePlan(const Profile& profile, const PlanRequest& request);

/// Device memory that a run of `profile` takes outside the arena: overhead of the context and
/// libraries, one graph node for each op, and the page tables of `host_bytes` of pinned memory (8
/// bytes for each 4 KiB, in blocks of 2 MiB; none for a cost model, which has no graph nodes).
std::int64_t OverheadBytes(const Profile& profile, std::int64_t host_bytes = 0);

}  // namespace stint
