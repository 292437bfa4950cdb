#include "planner/joint_eviction.h"

#include <algorithm>
#include <utility>

namespace stint {
namespace {

// Evicting what the host has already saves a copy; in shares of an iteration.
constexpr double kCleanBonus = 0.15;
constexpr double kSmallMalus = 0.02;
// Where much is missing, items below this are not worth a copy.
constexpr std::int32_t kSmallUnits = (8 << 20) / 512;

std::size_t At(std::int32_t index) { return static_cast<std::size_t>(index); }

bool Wraps(const SequenceGap& gap) { return gap.kind == GapClass::kWraps; }

}  // namespace

void GapChooser::CountUnits(const JointSequence& sequence) {
  const std::size_t run_count = sequence.steps.size();
  std::vector<std::int32_t>& change = units_;
  change.assign(run_count + 1, 0);
  std::int32_t always_units = program_.pinned_units;
  for (const JointItem& item : program_.items) {
    always_units += item.is_shard ? item.units : 0;
  }
  for (const JointLife& life : sequence.lives) {
    change[At(life.begin) + 1] += program_.items[At(life.item)].units;
    change[At(life.end) + 1] -= program_.items[At(life.item)].units;
  }
  std::int32_t live_units = always_units;
  for (std::size_t run = 0; run < run_count; ++run) {
    live_units += change[run];
    units_[run] = live_units + program_.ops[At(sequence.steps[run])].script_units;
  }
  units_.pop_back();
}

/// Ops that run again belong to the op that needs them.
void GapChooser::FindStretches(const JointSequence& sequence) {
  const auto run_count = static_cast<std::int32_t>(sequence.steps.size());
  const auto step_count = static_cast<std::int32_t>(program_.ops.size());
  const std::int64_t all_ns = program_.begin_ns.back();
  std::int32_t step = 0;
  for (std::size_t i = 0; i < kStretchCount; ++i) {
    const auto stretch = static_cast<std::int64_t>(i);
    const std::int64_t begin_ns = all_ns * stretch / static_cast<std::int64_t>(kStretchCount);
    while (step < step_count && program_.begin_ns[At(step)] < begin_ns) {
      ++step;
    }
    stretches_[i] = step == 0 ? 0 : sequence.run_of[At(step - 1)] + 1;
  }
  stretches_[kStretchCount] = run_count;
}

void GapChooser::AddHeadroom(const JointChoice& choice, PeakTree& peaks) const {
  for (std::size_t i = 0; i < kStretchCount; ++i) {
    if (choice.headroom_units[i] > 0 && stretches_[i] < stretches_[i + 1]) {
      peaks.Add(stretches_[i], stretches_[i + 1] - 1, choice.headroom_units[i]);
    }
  }
}

/// Where nothing else can leave. Whether there was any.
bool GapChooser::GiveUpHeadroom(std::int32_t run, JointChoice& choice, PeakTree& peaks) const {
  const auto after = std::upper_bound(stretches_.begin(), stretches_.end() - 1, run);
  const auto stretch = static_cast<std::size_t>(after - stretches_.begin()) - 1;
  std::int32_t& headroom_units = choice.headroom_units[stretch];
  if (headroom_units == 0) {
    return false;
  }
  peaks.Add(stretches_[stretch], stretches_[stretch + 1] - 1, -headroom_units);
  headroom_units = 0;
  return true;
}

void GapChooser::AddAround(const SequenceGap& gap, std::int32_t units, PeakTree& peaks) const {
  const auto last = static_cast<std::int32_t>(units_.size()) - 1;
  if (!Wraps(gap)) {
    peaks.Add(gap.begin + 1, gap.end - 1, units);
    return;
  }
  if (gap.begin < last) {
    peaks.Add(gap.begin + 1, last, units);
  }
  if (gap.end > 0) {
    peaks.Add(0, gap.end - 1, units);
  }
}

std::int32_t GapChooser::MaxAround(const SequenceGap& gap, const PeakTree& peaks) const {
  const auto last = static_cast<std::int32_t>(units_.size()) - 1;
  if (!Wraps(gap)) {
    return peaks.Max(gap.begin + 1, gap.end - 1);
  }
  const std::int32_t after = gap.begin < last ? peaks.Max(gap.begin + 1, last) : 0;
  const std::int32_t before = gap.end > 0 ? peaks.Max(0, gap.end - 1) : 0;
  return std::max(after, before);
}

void GapChooser::Evict(SequenceGap& gap, PeakTree& peaks) {
  gap.is_evicted = true;
  evicted_count_[At(gap.item)] += Wraps(gap) ? 0 : 1;
  AddAround(gap, -program_.items[At(gap.item)].units, peaks);
}

void GapChooser::Keep(SequenceGap& gap, PeakTree& peaks) {
  gap.is_evicted = false;
  evicted_count_[At(gap.item)] -= Wraps(gap) ? 0 : 1;
  AddAround(gap, program_.items[At(gap.item)].units, peaks);
}

/// Of a shard that nothing writes here: the host always has it, unless it begins on the device.
bool GapChooser::IsFrozen(const SequenceGap& gap) const {
  const JointItem& item = program_.items[At(gap.item)];
  return item.is_shard && item.writes.empty();
}

void GapChooser::EvictWithItsWrap(JointSequence& sequence, std::size_t gap, PeakTree& peaks) {
  Evict(sequence.gaps[gap], peaks);
  if (!IsFrozen(sequence.gaps[gap])) {
    return;
  }
  const std::int32_t wrap = wrap_of_[At(sequence.gaps[gap].item)];
  if (wrap != kNoOp && !sequence.gaps[At(wrap)].is_evicted) {
    Evict(sequence.gaps[At(wrap)], peaks);
  }
}

bool GapChooser::CanKeep(const SequenceGap& gap) const {
  if (Wraps(gap) && program_.items[At(gap.item)].begins_away) {
    return false;
  }
  return !Wraps(gap) || !IsFrozen(gap) || evicted_count_[At(gap.item)] == 0;
}

bool GapChooser::Repair(JointChoice& choice, const GapRules& rules, SmallRandom& random,
                        JointSequence& sequence, PeakTree& peaks) {
  const auto iteration_ns = static_cast<double>(sequence.begin_ns.back());
  while (peaks.Max() > limit_units_) {
    const std::int32_t highest = peaks.ArgMax();
    const std::int32_t missing_units = peaks.Max() - limit_units_;
    const std::int64_t now_ns = sequence.begin_ns[At(highest)];
    std::int32_t best = kNoOp;
    double best_score = 0;
    for (std::size_t i = 0; i < sequence.gaps.size(); ++i) {
      const SequenceGap& gap = sequence.gaps[i];
      if (gap.is_evicted) {
        continue;
      }
      const bool is_before_end = highest < gap.end;
      if (Wraps(gap) ? highest <= gap.begin && !is_before_end
                     : highest <= gap.begin || !is_before_end) {
        continue;
      }
      const JointItem& item = program_.items[At(gap.item)];
      const std::int64_t next_ns =
          sequence.begin_ns[At(gap.end)] + (is_before_end ? 0 : sequence.begin_ns.back());
      double score = static_cast<double>(next_ns - now_ns) / iteration_ns;
      const auto& evicts = choice.evicts[At(gap.item)];
      const bool is_clean = gap.kind == GapClass::kAcrossTurn && item.is_shard &&
                            evicts[static_cast<std::size_t>(GapClass::kWraps)] != 0;
      score += is_clean ? kCleanBonus : 0;
      score +=
          static_cast<double>(choice.priorities[At(gap.item)][static_cast<std::size_t>(gap.kind)]);
      score += rules.noise > 0 ? rules.noise * random.Unit() : 0;
      score -= missing_units > kSmallUnits && item.units < kSmallUnits ? kSmallMalus : 0;
      if (best == kNoOp || score > best_score) {
        best = static_cast<std::int32_t>(i);
        best_score = score;
      }
    }
    if (best == kNoOp) {
      if (!GiveUpHeadroom(highest, choice, peaks)) {
        return false;
      }
      continue;
    }
    EvictWithItsWrap(sequence, At(best), peaks);
  }
  return true;
}

void GapChooser::Fill(const JointChoice& choice, const GapRules& rules, SmallRandom& random,
                      JointSequence& sequence, PeakTree& peaks) {
  const auto iteration_ns = static_cast<double>(sequence.begin_ns.back());
  const auto fits = [&](const SequenceGap& gap) {
    return CanKeep(gap) &&
           MaxAround(gap, peaks) <= limit_units_ - program_.items[At(gap.item)].units;
  };
  std::vector<std::pair<double, std::size_t>> candidates{};
  for (std::size_t i = 0; i < sequence.gaps.size(); ++i) {
    const SequenceGap& gap = sequence.gaps[i];
    if (!gap.is_evicted || !fits(gap)) {
      continue;
    }
    const std::int64_t after_turn_ns =
        sequence.begin_ns[At(gap.end)] - sequence.begin_ns[At(sequence.turn)];
    double score =
        gap.end >= sequence.turn ? static_cast<double>(after_turn_ns) / iteration_ns : 0.5;
    score +=
        static_cast<double>(choice.priorities[At(gap.item)][static_cast<std::size_t>(gap.kind)]);
    score += rules.noise > 0 ? rules.noise * random.Unit() : 0;
    score -= static_cast<double>(program_.items[At(gap.item)].units) / 2e6;
    candidates.emplace_back(score, i);
  }
  std::sort(candidates.begin(), candidates.end());
  for (const auto& [score, i] : candidates) {
    if (fits(sequence.gaps[i])) {
      Keep(sequence.gaps[i], peaks);
    }
  }
}

void GapChooser::TakeOffEvicted(const JointSequence& sequence) {
  std::vector<std::int32_t> change(units_.size() + 1, 0);
  for (const SequenceGap& gap : sequence.gaps) {
    if (!gap.is_evicted) {
      continue;
    }
    const std::int32_t item_units = program_.items[At(gap.item)].units;
    change[0] -= Wraps(gap) ? item_units : 0;
    change[At(gap.begin) + 1] -= item_units;
    change[At(gap.end)] += item_units;
  }
  std::int32_t sum_units = 0;
  for (std::size_t run = 0; run < units_.size(); ++run) {
    sum_units += change[run];
    units_[run] += sum_units;
  }
}

std::int32_t GapChooser::Choose(JointChoice& choice, const GapRules& rules, SmallRandom& random,
                                JointSequence& sequence) {
  CountUnits(sequence);
  evicted_count_.assign(program_.items.size(), 0);
  wrap_of_.assign(program_.items.size(), kNoOp);
  PeakTree peaks(units_);
  for (std::size_t i = 0; i < sequence.gaps.size(); ++i) {
    if (Wraps(sequence.gaps[i])) {
      wrap_of_[At(sequence.gaps[i].item)] = static_cast<std::int32_t>(i);
    }
  }
  for (std::size_t i = 0; i < sequence.gaps.size(); ++i) {
    SequenceGap& gap = sequence.gaps[i];
    const bool is_chosen = choice.evicts[At(gap.item)][static_cast<std::size_t>(gap.kind)] != 0 ||
                           (Wraps(gap) && program_.items[At(gap.item)].begins_away);
    if (!gap.is_evicted && is_chosen) {
      EvictWithItsWrap(sequence, i, peaks);
    }
  }
  FindStretches(sequence);
  AddHeadroom(choice, peaks);
  const bool fits = Repair(choice, rules, random, sequence, peaks);
  if (fits && rules.fills) {
    Fill(choice, rules, random, sequence, peaks);
  }
  for (const SequenceGap& gap : sequence.gaps) {
    choice.evicts[At(gap.item)][static_cast<std::size_t>(gap.kind)] = gap.is_evicted ? 1 : 0;
  }
  TakeOffEvicted(sequence);
  return std::max(0, peaks.Max() - limit_units_);
}

}  // namespace stint
