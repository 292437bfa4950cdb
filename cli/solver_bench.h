// Every solver on every instance at every budget, each plan checked and replayed: rows, and how
// they are shown.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "ir/profile.h"
#include "planner/solver.h"

namespace stint {

/// A program to plan, by the name of its file within the suite.
struct BenchInstance {
  std::string name{};
  Profile profile{};
};

/// A budget as it was asked for: "80%" of what activations take if everything is kept, or "8GiB" of
/// the whole process.
struct BenchBudget {
  std::string text{};
  double share = 0;               // Of 1; 0: bytes are given.
  std::int64_t budget_bytes = 0;  // 0: a share is given.
};

/// "80%", "80" (the same) or "8GiB".
/// @throws InputError naming `--budgets`.
BenchBudget ParseBenchBudget(const std::string& text);

/// What one solver answers, and what a replay of its plan says.
struct BenchRow {
  std::string instance{};
  std::int64_t op_count = 0;
  std::string budget{};
  std::int64_t budget_bytes = 0;  // Device memory of the whole process.
  std::string solver{};
  std::string status{};      // "optimal", "feasible", "infeasible" (proved), "unknown", "failed".
  std::string plan_class{};  // Of the bound.
  std::int64_t keep_all_duration_ns = 0;
  std::int64_t keep_all_peak_bytes = 0;
  std::int64_t duration_ns = 0;       // 0 without a plan.
  std::int64_t lower_bound_ns = 0;    // 0 where nothing is known.
  std::int64_t claimed_ns = 0;        // Of that, what rests on a floating-point solver.
  std::int64_t peak_bytes = 0;        //
  std::int64_t arena_bytes = 0;       //
  std::int64_t min_budget_bytes = 0;  // Without a plan: no plan fits less.
  std::string note{};                 // Without a plan: what binds, or what failed.
  double wall_s = 0;                  // Of planning, checks included.
  double cpu_s = 0;                   // The same, of all threads.
};

/// In percent of the keep-all duration, above it; the gap in percentage points.
double OverheadPercent(const BenchRow& row);
double BoundPercent(const BenchRow& row);
double GapPoints(const BenchRow& row);
bool HasPlan(const BenchRow& row);

/// How every plan of a table is made.
struct BenchOptions {
  SolveOptions solve{};
  bool limits_arena = true;  // False: the budget is for the bytes live at once.
};

/// Plans, checks (CheckPlan) and replays (Simulate). A solver that throws, or whose plan the replay
/// contradicts, gives a row "failed" with the reason: the others go on.
BenchRow RunBench(const BenchInstance& instance, const BenchBudget& budget,
                  const std::string& solver, const BenchOptions& options);

/// One line a row under a line of heads.
std::string FormatBenchTable(const std::vector<BenchRow>& rows, bool has_colour);

}  // namespace stint
