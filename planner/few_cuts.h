// Lower bounds by several cuts of the program at once, as linear programs.
//
//     cut            p0              p1              p2
//     first runs  ---|---------------|---------------|-----------
//     kept over      S(u, 0)         S(u, 1)         S(u, 2)
//     runs again        R(j, 0)         R(j, 1)         R(j, 2)
//     ... any more      Z(j, 0) ----------------------------------->
//                                       Z(j, 1) ------------------->
//
// Columns and rows are those of ir/check_certificate.h. With fractions the multipliers of the best
// solution are a certificate: they are rounded, and the checker's arithmetic says in integers what
// they prove. In whole numbers the bound is stronger and rests on the floating-point solver. The
// whole solution says besides what to keep and what to run again in each segment, and so guides a
// search. Refuses to know: schedules.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "ir/plan.h"
#include "planner/linear_program.h"
#include "planner/program.h"

namespace stint {

/// What a relaxed plan does at one cut and in the segment after it.
struct CutChoice {
  OpId cut{};                    //
  std::vector<BufferId> kept{};  // Made before, and not read by the cut's own op.
  std::vector<OpId> runs{};      // Again, in the segment.
};

struct FewCutOptions {
  bool is_whole = false;  // No fractions.
  LpMethod method = LpMethod::kChoose;
  double time_limit_s = 10;     // > 0.
  double relative_gap = 1e-9;   // Of the recomputed time, where is_whole.
  std::int64_t node_limit = 0;  // Of the search tree, where is_whole; 0: none.
  std::int32_t seed = 0;
  std::vector<CutChoice> start{};           // What a plan does at the same cuts; may be empty.
  const std::atomic<bool>* stop = nullptr;  // May be null.
};

struct FewCutBound {
  LpStatus status = LpStatus::kFailed;
  std::string failure{};             // One line, if kFailed.
  std::int64_t recompute_ns = 0;     // At least so long ops run again, says floating point.
  std::vector<CutChoice> choices{};  // By cut; empty if no whole solution was found.
  Certificate certificate{};         // Not where is_whole. plan_class is left empty.
};

/// `program` is in the recorded order, `cuts` are ops that create something, ascending.
/// The linear program has O(cuts * (ops + arguments)) columns and entries.
FewCutBound BoundByCuts(const Program& program, const std::vector<OpId>& cuts,
                        std::int64_t budget_bytes, const FewCutOptions& options);

/// How many columns that linear program has, to judge beforehand what it costs.
std::int64_t ColumnCount(const Program& program, const std::vector<OpId>& cuts);

/// At most `count` cuts: the op that holds most if everything is kept, and others spread evenly
/// over the part of the program that passes the budget then. Empty if none does.
std::vector<OpId> SpreadCuts(const Program& program, std::int64_t budget_bytes, int count);

}  // namespace stint
