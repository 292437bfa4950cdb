// Simulated annealing over sets of recomputations: the plan at hand always fits the budget.
//
// A move breaks something and repairs it. It is kept if it makes the plan faster, or slower by
// little enough for the temperature of the moment.
//
//     remove   one recomputation goes, so values stay longer; where the profile now passes the
//              budget, other values are dropped and made again later until it does not
//     insert   a value is dropped between two of its reads; what fits into the room goes
//     shift    a recomputation comes earlier or later
//     burst    several neighbours go at once, then repair
//
// Dropping a value means running its creator right before the next read. Of the creator's inputs,
// those that fit the profile live on until then, the others are recomputed too, and so on.
//
// The first plan comes from a sweep over the stages: where the profile passes the budget, values go
// until it does not, as if nothing came after. Inputs live on into what is still to be swept; what
// is too much there goes when the sweep arrives.
//
// Refuses to know: threads, clocks, profiles.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "planner/flat_program.h"
#include "planner/insertion_plan.h"
#include "planner/small_random.h"

namespace stint {

class RecomputeSearch {
 public:
  /// Starts with `start`, swept if it does not fit. Keeps a reference to `program`, which must
  /// outlive it. Equal arguments give equal searches.
  RecomputeSearch(const FlatProgram& program, std::int32_t budget_units, std::uint64_t seed,
                  const std::vector<Insertion>& start);

  /// Whether a plan that fits was found.
  bool HasPlan() const { return best_ns_ != kNone; }
  const std::vector<Insertion>& best() const { return best_; }
  std::int64_t best_ns() const { return best_ns_; }  // Of recomputation.

  /// Tries `move_count` moves at a temperature between hot (1) and cold (0). Only after HasPlan.
  void Run(std::int64_t move_count, double heat);
  /// Goes on from `insertions`, which fit.
  void Restart(const std::vector<Insertion>& insertions) {
    plan_.Load(insertions);
    KeepIfBest();
  }

  /// Ranges of the memory profile changed so far.
  std::int64_t work_count() const { return plan_.change_count(); }

 private:
  static constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::max();

  bool TryMove();
  bool TryRemove();
  bool TryInsert();
  bool TryShift();
  bool TryBurst();

  void InsertWithInputs(Insertion insertion, int depth);
  void BringInputs(Insertion insertion, int depth);
  bool FitsBetween(std::int32_t first, std::int32_t last, std::int32_t units) const;
  std::int64_t EstimateNs(Insertion insertion, int& ops_left);
  bool Sweep();
  bool Repair(int drop_limit, int sample_count);
  bool DropAt(std::int32_t stage, int sample_count);
  double ScoreOf(std::int32_t value, Insertion insertion);
  std::int32_t SampleValue();
  const Insertion& SampleInsertion();
  bool IsSweeping() const { return horizon_ != kNever; }
  bool Fits() const { return plan_.peak_units() <= budget_units_; }
  void KeepIfBest();
  const FlatValue& ValueOf(std::int32_t value) const {
    return program_.values[static_cast<std::size_t>(value)];
  }
  const FlatOp& FlatOpOf(std::int32_t op) const {
    return program_.ops[static_cast<std::size_t>(op)];
  }

  const FlatProgram& program_;
  std::int32_t budget_units_ = 0;
  SmallRandom random_;
  InsertionPlan plan_;
  std::vector<std::int32_t> droppable_{};  // Values that can be made again.
  std::vector<double> weight_sums_{};      // By droppable: how likely it and those before are.
  std::int32_t horizon_ = kNever;  // The stage that a sweep has come to: those after it do not
                                   // count. kNever: all count.
  double distance_power_ = 0;      // How much values with a far next read go first.
  double hot_ns_ = 0;              // The temperature at heat 1.
  std::int64_t limit_ns_ = kNone;  // A move that ends above is not kept.
  std::vector<Insertion> best_{};
  std::int64_t best_ns_ = kNone;
  std::vector<std::int64_t> visits_{};  // By op: the last estimate that counted it.
  std::int64_t visit_ = 0;
};

}  // namespace stint
