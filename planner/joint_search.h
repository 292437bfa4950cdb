// Looks for good joint plans: which values are made again, which gaps are spent away. Simulated
// annealing over choices (planner/joint_sequence.h); each is built, made to fit, and timed.
//
//     starts    nothing dropped; all but what crosses narrow places of the forward pass (finer and
//               finer); values that are cheap for their size; what a relaxation makes again
//     moves     keep what a run waits for; flip drops of neighbours; give a stretch the drops of a
//               start; flip gaps; let repair choose again
#pragma once

#include <cstdint>
#include <vector>

#include "planner/joint_eviction.h"
#include "planner/joint_guide.h"
#include "planner/joint_sequence.h"
#include "planner/joint_timing.h"
#include "planner/small_random.h"
#include "planner/solver.h"

namespace stint {

/// A choice and what came of it.
struct JointState {
  JointChoice choice{0};
  JointSequence sequence{};
  JointTimes times{};
  std::vector<std::int32_t> units{};  // By run, without early fetches.
  double score_ns = 0;                // Lower is better; kNoPlanScore and more: does not fit.
  bool has_plan = false;
};

/// Drops of the starts, by item.
std::vector<std::vector<std::uint8_t>> StartingDrops(const PagedProgram& program);

/// By item: whether what `guide` was taken from makes it again rather than keep it. Without state
/// to page, that is nearly whole.
std::vector<std::uint8_t> DropsOfGuide(const PagedProgram& program, const JointGuide& guide);

/// By item: whether a schedule without copies, of one phase, has it away when the turn's op runs,
/// although it is needed later.
std::vector<std::uint8_t> DropsOfSchedule(const PagedProgram& program,
                                          const std::vector<OpEffects>& effects,
                                          const Schedule& schedule);

class JointSearch {
 public:
  /// Keeps references to both; `patterns` are drops by item that moves may take over.
  JointSearch(const PagedProgram& program, const UnitLimits& limits,
              const std::vector<std::vector<std::uint8_t>>& patterns, std::uint64_t seed);

  /// Evaluates a choice to begin with; goes on from it if it is better than what is there.
  void Start(const JointChoice& choice);
  /// Tries each pattern in each part of the forward pass, and keeps what is better.
  void SweepPatterns();
  /// Goes on from another search's best.
  void Restart(const JointState& state);

  /// Makes `count` moves. `heat` in [0, 1] says how much worse a plan may be to go on from.
  void Run(std::int64_t count, double heat);

  const JointState& best() const { return best_; }
  /// Runs built so far: the work done.
  std::int64_t run_count() const { return run_count_; }

 private:
  /// Gives up where the score is above `most_ns` for certain. Whether `state` has a score.
  bool Evaluate(const GapRules& rules, double most_ns, JointState& state);
  void Move(JointState& state);
  void KeepBeforeStall(JointState& state);
  void FlipGaps(JointState& state);
  void FlipDrops(JointState& state);
  void TakePattern(JointState& state);
  void SwapGaps(JointState& state);
  void ForgetGaps(JointState& state);
  void ShiftHeadroom(JointState& state);
  std::size_t SomeCount();

  const PagedProgram& program_;
  const std::vector<std::vector<std::uint8_t>>& patterns_;
  std::vector<std::size_t> candidates_{};  // Items worth dropping, by creator.
  const UnitLimits limits_;
  SequenceBuilder builder_;
  GapChooser chooser_;
  SmallRandom random_;
  JointState current_{};
  JointState next_{};
  JointState best_{};
  std::int64_t move_count_ = 0;
  std::int64_t run_count_ = 0;
};

}  // namespace stint
