// The search for the plan of one phase: chains of moves (planner/joint_search.h), each on a thread,
// that meet now and then and go on from the best of them. Results do not depend on how many threads
// the machine runs at once. Refuses to know: addresses, clocks.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "planner/joint_emit.h"
#include "planner/joint_search.h"

namespace stint {

class PhaseSearch {
 public:
  /// Called with the moves that each chain has made so far; from 1 on the search stops.
  using UsedPart = std::function<double(std::int64_t move_count)>;

  /// Keeps a reference to `program`. `starts` are drops by item to begin with, besides others;
  /// those of another number of items are left out.
  PhaseSearch(const PagedProgram& program, const std::vector<std::vector<std::uint8_t>>& starts,
              std::int64_t seed);

  /// Makes the chains and evaluates all starts.
  void Start(const UnitLimits& limits);
  /// Runs until `used_part` says 1, while the heat falls from `hottest` to `coldest`, in [0, 1].
  void Cool(double hottest, double coldest, const UsedPart& used_part);
  /// Lets all chains go on from the best plan within other limits.
  void GoOnWithin(const UnitLimits& limits);
  /// Makes the best plan anew within other limits.
  void Mend(const UnitLimits& limits, std::int64_t move_count);

  /// The best so far.
  const JointState& state() const { return state_; }
  JointPhase Phase() const;
  /// Runs built so far by all chains: the work done.
  std::int64_t step_count() const;

 private:
  std::uint64_t ChainSeed(std::size_t chain) const;
  void Exchange();
  const JointSearch& Fastest() const;

  const PagedProgram& program_;
  std::vector<std::vector<std::uint8_t>> patterns_;
  const std::int64_t seed_;
  std::vector<std::unique_ptr<JointSearch>> chains_{};
  JointState state_{};
  std::int64_t base_step_count_ = 0;  // Of chains that are gone.
  std::uint64_t seed_count_ = 0;      // Of chains that went on.
};

}  // namespace stint
