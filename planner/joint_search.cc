#include "planner/joint_search.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace stint {
namespace {

constexpr double kNoPlanScore = 1e18;
constexpr double kNoLimit = 16 * kNoPlanScore;
// Besides the time, so that equal times are not all equal.
constexpr double kToDeviceWeight = 0.01;
constexpr double kToHostWeight = 0.005;
constexpr double kRecomputeWeight = 0.02;
// A plan that is worse by this share is accepted with probability 1/e at full heat.
constexpr double kHottest = 0.003;
constexpr double kLeastChance = 1e-9;
constexpr std::int64_t kMovesBeforeReturn = 300;
// Parts of the forward pass that take over patterns, coarse to fine.
constexpr std::size_t kSweptPieces[] = {4, 8, 16};
// Of the memory: headroom changes by half as much, up or down.
constexpr double kHeadroomShare = 0.04;
constexpr double kFarFromBest = 1.01;
// Values below this are not worth a decision of their own.
constexpr std::int32_t kCandidateUnits = (256 << 10) / 512;

std::size_t At(std::int32_t index) { return static_cast<std::size_t>(index); }

std::size_t ClassOf(const SequenceGap& gap) { return static_cast<std::size_t>(gap.kind); }

}  // namespace

JointSearch::JointSearch(const PagedProgram& program, const UnitLimits& limits,
                         const std::vector<std::vector<std::uint8_t>>& patterns, std::uint64_t seed)
    : program_(program),
      patterns_(patterns),
      limits_(limits),
      builder_(program),
      chooser_(program, limits.all),
      random_(seed) {
  for (std::size_t i = 0; i < program.items.size(); ++i) {
    if (CrossesTurn(program, program.items[i]) && program.items[i].units >= kCandidateUnits) {
      candidates_.push_back(i);
    }
  }
  std::stable_sort(candidates_.begin(), candidates_.end(), [&](std::size_t a, std::size_t b) {
    return program.items[a].creator < program.items[b].creator;
  });
  current_.score_ns = best_.score_ns = 4 * kNoPlanScore;
}

bool JointSearch::Evaluate(const GapRules& rules, double most_ns, JointState& state) {
  state.has_plan = false;
  if (!builder_.Build(state.choice, state.sequence)) {
    state.score_ns = 3 * kNoPlanScore;
    return true;
  }
  run_count_ += static_cast<std::int64_t>(state.sequence.steps.size());
  const double recompute_score_ns =
      kRecomputeWeight * static_cast<double>(state.sequence.recompute_ns);
  const double most_time_ns = std::min(most_ns - recompute_score_ns, kNoPlanScore);
  if (static_cast<double>(state.sequence.begin_ns.back()) > most_time_ns) {
    return false;
  }
  const std::int32_t missing_units = chooser_.Choose(state.choice, rules, random_, state.sequence);
  if (missing_units > 0) {
    state.score_ns = kNoPlanScore + static_cast<double>(missing_units);
    return true;
  }
  state.units = chooser_.units();
  if (!TimeSequence(program_, limits_, state.sequence, state.units,
                    static_cast<std::int64_t>(most_time_ns), state.times)) {
    return false;
  }
  state.has_plan = true;
  state.score_ns = static_cast<double>(state.times.duration_ns) +
                   kToDeviceWeight * static_cast<double>(state.times.to_device_ns) +
                   kToHostWeight * static_cast<double>(state.times.to_host_ns) + recompute_score_ns;
  return true;
}

void JointSearch::Start(const JointChoice& choice) {
  next_.choice = choice;
  Evaluate({}, kNoLimit, next_);
  if (next_.score_ns < best_.score_ns) {
    best_ = next_;
    current_ = next_;
  }
}

void JointSearch::Restart(const JointState& state) {
  current_ = state;
  if (state.score_ns < best_.score_ns) {
    best_ = state;
  }
}

void JointSearch::SweepPatterns() {
  for (const std::size_t piece_count : kSweptPieces) {
    for (std::size_t piece = 0; piece < piece_count; ++piece) {
      const std::size_t first = candidates_.size() * piece / piece_count;
      const std::size_t end = candidates_.size() * (piece + 1) / piece_count;
      for (const std::vector<std::uint8_t>& drops : patterns_) {
        next_.choice = current_.choice;
        for (std::size_t k = first; k < end; ++k) {
          next_.choice.drops[candidates_[k]] = drops[candidates_[k]];
        }
        if (next_.choice.drops == current_.choice.drops) {
          continue;
        }
        if (Evaluate({}, current_.score_ns, next_) && next_.score_ns < current_.score_ns) {
          std::swap(current_, next_);
        }
      }
    }
  }
  if (current_.score_ns < best_.score_ns) {
    best_ = current_;
  }
}

void JointSearch::Run(std::int64_t count, double heat) {
  for (std::int64_t i = 0; i < count; ++i) {
    next_.choice = current_.choice;
    Move(next_);
    // How much worse it may be is drawn before, so that what is worse need not be timed to its end.
    const double allowed_ns = kHottest * heat * heat * current_.score_ns;
    const double worse_ns =
        current_.has_plan ? -allowed_ns * std::log(std::max(random_.Unit(), kLeastChance)) : 0;
    const double most_ns = current_.score_ns + worse_ns;
    const GapRules rules{.noise = static_cast<double>(random_.Below(3)) * 0.1};
    if (Evaluate(rules, most_ns, next_) && next_.score_ns <= most_ns) {
      std::swap(current_, next_);
      if (current_.score_ns < best_.score_ns) {
        best_ = current_;
      }
    }
    if (++move_count_ % kMovesBeforeReturn == 0 &&
        current_.score_ns > kFarFromBest * best_.score_ns) {
      current_ = best_;
    }
  }
}

std::size_t JointSearch::SomeCount() { return 1 + (random_.Below(3) == 0 ? random_.Below(6) : 0); }

void JointSearch::Move(JointState& state) {
  const std::size_t kind = random_.Below(14);
  if (kind < 4) {
    KeepBeforeStall(state);
  } else if (kind < 6) {
    FlipGaps(state);
  } else if (kind < 9) {
    FlipDrops(state);
  } else if (kind < 10) {
    TakePattern(state);
  } else if (kind < 11) {
    SwapGaps(state);
  } else if (kind < 12) {
    ForgetGaps(state);
  } else {
    ShiftHeadroom(state);
  }
}

/// Keeps gaps that end shortly before a run that waits.
void JointSearch::KeepBeforeStall(JointState& state) {
  std::int64_t stall_ns = 0;
  for (const auto& [wait_ns, run] : current_.times.stalls) {
    stall_ns += wait_ns;
  }
  if (!current_.has_plan || stall_ns == 0) {
    FlipGaps(state);
    return;
  }
  const auto run_count = static_cast<std::int32_t>(current_.sequence.steps.size());
  for (std::size_t count = SomeCount(); count > 0; --count) {
    auto left_ns = static_cast<std::int64_t>(random_.Unit() * static_cast<double>(stall_ns));
    std::int32_t stalled = 0;
    for (const auto& [wait_ns, run] : current_.times.stalls) {
      stalled = run;
      left_ns -= wait_ns;
      if (left_ns <= 0) {
        break;
      }
    }
    const std::int32_t reach = run_count / (1 + static_cast<std::int32_t>(random_.Below(30)));
    std::vector<const SequenceGap*> near{};
    for (const SequenceGap& gap : current_.sequence.gaps) {
      if (gap.is_evicted && (stalled - gap.end + run_count) % run_count < reach) {
        near.push_back(&gap);
      }
    }
    if (!near.empty()) {
      const SequenceGap& gap = *near[random_.Below(near.size())];
      state.choice.evicts[At(gap.item)][ClassOf(gap)] = 0;
      state.choice.priorities[At(gap.item)][ClassOf(gap)] -=
          static_cast<float>(0.3 * random_.Unit());
    }
  }
}

void JointSearch::FlipGaps(JointState& state) {
  const std::vector<SequenceGap>& gaps = current_.sequence.gaps;
  for (std::size_t count = gaps.empty() ? 0 : SomeCount(); count > 0; --count) {
    const SequenceGap& gap = gaps[random_.Below(gaps.size())];
    std::uint8_t& is_evicted = state.choice.evicts[At(gap.item)][ClassOf(gap)];
    is_evicted ^= 1;
    state.choice.priorities[At(gap.item)][ClassOf(gap)] +=
        static_cast<float>((is_evicted != 0 ? 0.2 : -0.2) * random_.Unit());
  }
}

void JointSearch::FlipDrops(JointState& state) {
  if (candidates_.empty()) {
    return;
  }
  const std::size_t first = random_.Below(candidates_.size());
  const std::size_t count = SomeCount();
  for (std::size_t k = 0; k < count; ++k) {
    const std::size_t place =
        std::min(candidates_.size() - 1, first + (k > 0 ? random_.Below(6) : 0));
    const std::size_t item = candidates_[place];
    (random_.Below(8) == 0 ? state.choice.drops_again : state.choice.drops)[item] ^= 1;
  }
}

void JointSearch::TakePattern(JointState& state) {
  if (candidates_.empty()) {
    return;
  }
  const std::size_t first = random_.Below(candidates_.size());
  const std::size_t end = std::min(candidates_.size(), first + 3 + random_.Below(40));
  const std::size_t which = random_.Below(patterns_.size() + 1);
  for (std::size_t k = first; k < end; ++k) {
    if (which < patterns_.size()) {
      state.choice.drops[candidates_[k]] = patterns_[which][candidates_[k]];
    } else {
      state.choice.drops_again[candidates_[k]] = static_cast<std::uint8_t>(random_.Below(2));
    }
  }
}

void JointSearch::SwapGaps(JointState& state) {
  const std::vector<SequenceGap>& gaps = current_.sequence.gaps;
  if (gaps.size() < 2) {
    return;
  }
  const SequenceGap& a = gaps[random_.Below(gaps.size())];
  const SequenceGap& b = gaps[random_.Below(gaps.size())];
  if (a.is_evicted != b.is_evicted) {
    std::swap(state.choice.evicts[At(a.item)][ClassOf(a)],
              state.choice.evicts[At(b.item)][ClassOf(b)]);
  }
}

/// More or less headroom in a few stretches, where runs wait at all; what was evicted for the old
/// one may come back.
void JointSearch::ShiftHeadroom(JointState& state) {
  if (current_.times.stalls.empty()) {
    FlipDrops(state);
    return;
  }
  const std::size_t first = random_.Below(kStretchCount);
  const std::size_t end = std::min(kStretchCount, first + 1 + random_.Below(8));
  const auto change = static_cast<std::int32_t>((random_.Unit() - 0.5) * kHeadroomShare *
                                                static_cast<double>(limits_.all));
  for (std::size_t i = first; i < end; ++i) {
    std::int32_t& headroom_units = state.choice.headroom_units[i];
    headroom_units = std::max(0, headroom_units + change);
  }
}

void JointSearch::ForgetGaps(JointState& state) {
  const double share = 0.3 * random_.Unit();
  for (const SequenceGap& gap : current_.sequence.gaps) {
    if (random_.Unit() < share) {
      state.choice.evicts[At(gap.item)][ClassOf(gap)] = 0;
    }
  }
}

}  // namespace stint
