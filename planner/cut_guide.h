// What cuts say beyond a bound: which ops a good plan runs again, and for whom.
//
// A cut's relaxed plan says what is kept over it and what runs again in the segment after it; it
// does not say when. Here each run comes as late as those who read what it makes allow:
//
//     segment      p0 ------------- s ----------- p1        runs again: A, B
//     first reader                  reads b                 B in stage s, because of b,
//                                                           A in stage s, because B reads a
//
// Between cuts nobody has counted the bytes, so such a plan has to be repaired before it fits.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "planner/few_cuts.h"
#include "planner/flat_program.h"
#include "planner/insertion_plan.h"

namespace stint {

/// `choices` by ascending cut; `flat` is of `program`, the ops in any order.
std::vector<Insertion> InsertionsOf(const Program& program, const FlatProgram& flat,
                                    const std::vector<CutChoice>& choices);

/// What the best single cut chooses, at the op that holds most, for a plan of `budget_bytes`; empty
/// if that is infeasible. `recorded` is in the recorded order. Needs no solver.
std::vector<CutChoice> PeakChoice(const Program& recorded, std::int64_t budget_bytes);

/// What one round of cuts in whole numbers says.
struct CutRound {
  std::int64_t recompute_ns = 0;     // Claimed: no plan runs less again.
  std::vector<OpId> cuts{};          // Of that claim.
  std::vector<CutChoice> choices{};  // Empty if no solution was found.
  Certificate certificate{};         // Of the same cuts with fractions; method is empty if there is
                                     // none. plan_class is left empty.
  std::string failure{};             // One line; empty: none.
  std::int64_t step_count = 0;       // A guess from its size.
};

/// What a plan does at `cuts`: the opposite of InsertionsOf.
std::vector<CutChoice> ChoicesOf(const Program& program, const FlatProgram& flat,
                                 const std::vector<Insertion>& insertions,
                                 const std::vector<OpId>& cuts);

/// Bounds by more and more cuts, in whole numbers. The first is the peak; then come the ops at
/// which the plan that the last round chose passes the budget, and where it does not, or does so
/// only while something runs again, ops at which a real plan has hardly a byte to spare.
class CutRounds {
 public:
  /// Keeps references, which must outlive it: `recorded` is in the recorded order, `flat` is of
  /// `program`, the same ops in any order.
  CutRounds(const Program& recorded, const Program& program, const FlatProgram& flat,
            std::int64_t budget_bytes);

  /// Whether there is another round that is worth its time.
  bool HasNext() const { return !is_over_; }
  /// Solves the next round. `best` is a plan that fits. A failure ends all rounds.
  CutRound Next(FewCutOptions options, const std::vector<Insertion>& best);

 private:
  void AddViolated(std::size_t count);
  void AddTight(const std::vector<Insertion>& best, std::size_t count);
  void AddCut(std::int32_t step);
  std::int32_t BudgetUnits() const;

  const Program& recorded_;
  const Program& program_;
  const FlatProgram& flat_;
  std::int64_t budget_bytes_ = 0;
  std::vector<OpId> cuts_{};          // Ascending.
  std::vector<CutChoice> choices_{};  // Of the last round.
  int round_count_ = 0;
  bool is_solved_ = false;  // The last round, to the end.
  bool is_over_ = false;
};

/// Runs the rounds one after another on a thread of its own.
class CutThread {
 public:
  /// Keeps a reference to `rounds`, which nobody else may use until it is gone. `options.stop` is
  /// its own. Ends by itself after `time_limit_s`.
  CutThread(CutRounds& rounds, const FewCutOptions& options, double time_limit_s,
            std::vector<Insertion> best);
  /// Stops the solver and waits for it.
  ~CutThread();
  CutThread(const CutThread&) = delete;
  CutThread& operator=(const CutThread&) = delete;

  /// A better plan, for the rounds to come.
  void Suggest(std::vector<Insertion> best);
  /// The rounds that ended since the last call.
  std::vector<CutRound> Take();
  /// Stops the solver and waits for it; what it had proved by then is a round, too.
  std::vector<CutRound> Finish();
  bool IsRunning() const { return is_running_; }

 private:
  std::atomic<bool> stop_ = false;
  std::atomic<bool> is_running_ = true;
  std::mutex mutex_{};
  std::vector<CutRound> ended_{};  // Guarded by mutex_, as
  std::vector<Insertion> best_{};  // this is.
  std::jthread thread_{};
};

}  // namespace stint
