// What every rival needs around its own idea: the program, where its forward pass ends, a valid
// schedule from "what is kept", and the best plan so far.
//
//     forward             border   backward
//     v made ... v read   |        ... v read first ...... v read last
//     kept:     v------------------------------------------->
//     dropped:  v------>           v'----------------------->
//                                  its op runs again right before, after whatever that lacks itself
//
// A dropped value that cannot be made again by then (drawn at random, written in place since, or
// made from something that was) simply stays. Refuses to know: why something is kept.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "planner/flat_program.h"
#include "planner/insertion_plan.h"
#include "planner/program.h"
#include "planner/solver.h"
#include "planner/work_meter.h"

namespace stint {

/// By value of a flat program: whether it stays from the forward pass to its last use.
using KeepSet = std::vector<bool>;
/// By op: the block it belongs to; kNoBlock: none, and what it makes is kept.
using Blocks = std::vector<std::int32_t>;
inline constexpr std::int32_t kNoBlock = -1;

/// The runs that make dropped values again for `border` and what comes after.
std::vector<Insertion> RerunsFor(const FlatProgram& program, std::int32_t border,
                                 const KeepSet& is_kept);

/// Keeps what an op before `border` reads of another block, and what belongs to none.
KeepSet KeepAcross(const FlatProgram& program, std::int32_t border, const Blocks& blocks);

/// `count` numbers from `low` to `high`, each the same factor above the one before, without
/// repetitions. 0 < low.
std::vector<std::int64_t> GeometricSteps(std::int64_t low, std::int64_t high, int count);

/// One Solve of a rival. Keeps references to `problem` and `options`.
class RivalRun {
 public:
  /// Proves what planner/bounds.h can and tries to keep everything. `part` names the method.
  RivalRun(const Problem& problem, const SolveOptions& options, const std::string& part);

  /// Whether nothing is left to do: a plan as good as was asked for is found, none fits, or a limit
  /// is reached.
  bool IsOver();
  /// As IsOver, or the program cannot be flattened (a phase repeats, or it is larger than half a
  /// tebibyte), which it adds to the parts.
  bool IsOverWhenFlat();

  const Program& program() const { return program_; }  // In the recorded order.
  /// Only if not IsOverWhenFlat, as everything below but Offer(Schedule).
  const FlatProgram& flat() const { return *flat_; }
  /// The first op after the forward pass; in [1, op_count] where there are ops.
  std::int32_t border() const { return border_; }
  /// What is left beside persistent buffers.
  std::int32_t budget_units() const;

  WorkMeter& work() { return work_; }
  /// How long a schedule may take at most to be of use.
  std::int64_t duration_limit_ns() const;

  /// Takes a schedule if it fits and is the fastest so far. @returns whether it fits.
  bool Offer(const std::vector<Insertion>& reruns);
  bool Offer(Schedule schedule);
  bool OfferKept(const KeepSet& is_kept) { return Offer(RerunsFor(flat(), border_, is_kept)); }

  void AddPart(std::string part) { result_.parts.push_back(std::move(part)); }
  bool has_plan() const { return result_.schedule.has_value(); }

  SolveResult Take();

 private:
  const Problem& problem_;
  const SolveOptions& options_;
  Program program_;
  std::optional<FlatProgram> flat_;
  std::optional<InsertionPlan> plan_{};
  std::int32_t border_ = 0;
  WorkMeter work_;
  SolveResult result_{};
};

}  // namespace stint
