#include "planner/phase_search.h"

#include <algorithm>
#include <thread>

namespace stint {
namespace {

// Chains of moves, each on a thread, whatever the machine has: results must not depend on it.
constexpr std::size_t kChainCount = 2;
// Moves of each chain between two looks at the limits.
constexpr std::int64_t kSliceMoveCount = 32;
constexpr int kMeetingCount = 48;
constexpr int kFirstExchange = 16;
// Chains that go on draw other numbers.
constexpr std::uint64_t kNextSeed = std::uint64_t{1} << 32;

}  // namespace

PhaseSearch::PhaseSearch(const PagedProgram& program,
                         const std::vector<std::vector<std::uint8_t>>& starts, std::int64_t seed)
    : program_(program), patterns_(StartingDrops(program)), seed_(seed) {
  for (const std::vector<std::uint8_t>& drops : starts) {
    if (drops.size() == program.items.size()) patterns_.push_back(drops);
  }
}

void PhaseSearch::Start(const UnitLimits& limits) {
  for (std::size_t i = 0; i < kChainCount; ++i) {
    chains_.push_back(std::make_unique<JointSearch>(program_, limits, patterns_, ChainSeed(i)));
    if (i > 0) {  // It would find the same.
      chains_.back()->Restart(chains_.front()->best());
      continue;
    }
    for (const std::vector<std::uint8_t>& drops : patterns_) {
      JointChoice choice(program_.items.size());
      choice.drops = drops;
      chains_.back()->Start(choice);
    }
    chains_.back()->SweepPatterns();
  }
  state_ = Fastest().best();
}

void PhaseSearch::Cool(double hottest, double coldest, const UsedPart& used_part) {
  std::int64_t move_count = 0;
  int meeting = kFirstExchange;
  for (;;) {
    const double used = used_part(move_count);
    if (used >= 1) {
      state_ = Fastest().best();
      return;
    }
    if (used * kMeetingCount >= meeting) {
      Exchange();
      ++meeting;
    }
    const double heat = hottest + (coldest - hottest) * std::max(used, 0.0);
    {
      std::vector<std::jthread> threads{};
      for (std::size_t i = 1; i < chains_.size(); ++i) {
        threads.emplace_back([&chain = *chains_[i], heat] { chain.Run(kSliceMoveCount, heat); });
      }
      chains_.front()->Run(kSliceMoveCount, heat);
    }
    move_count += kSliceMoveCount;
  }
}

void PhaseSearch::GoOnWithin(const UnitLimits& limits) {
  base_step_count_ = step_count();
  const JointChoice choice = state_.choice;
  for (std::size_t i = 0; i < chains_.size(); ++i) {
    const std::uint64_t seed = ChainSeed(i) + kNextSeed * ++seed_count_;
    chains_[i] = std::make_unique<JointSearch>(program_, limits, patterns_, seed);
    chains_[i]->Start(choice);
  }
  state_ = Fastest().best();
}

void PhaseSearch::Mend(const UnitLimits& limits, std::int64_t move_count) {
  JointSearch mending(program_, limits, patterns_, static_cast<std::uint64_t>(seed_));
  mending.Start(state_.choice);
  mending.Run(move_count, 0);
  state_ = mending.best();
}

JointPhase PhaseSearch::Phase() const {
  return {.program = program_, .sequence = state_.sequence, .times = state_.times};
}

std::int64_t PhaseSearch::step_count() const {
  std::int64_t step_count = base_step_count_;
  for (const std::unique_ptr<JointSearch>& chain : chains_) {
    step_count += chain->run_count();
  }
  return step_count;
}

std::uint64_t PhaseSearch::ChainSeed(std::size_t chain) const {
  return static_cast<std::uint64_t>(seed_) * kChainCount + chain;
}

void PhaseSearch::Exchange() {
  const JointSearch& fastest = Fastest();
  for (std::unique_ptr<JointSearch>& chain : chains_) {
    if (chain->best().score_ns > fastest.best().score_ns) {
      chain->Restart(fastest.best());
    }
  }
}

const JointSearch& PhaseSearch::Fastest() const {
  return **std::min_element(chains_.begin(), chains_.end(), [](const auto& a, const auto& b) {
    return a->best().score_ns < b->best().score_ns;
  });
}

}  // namespace stint
