#include "planner/joint_sequence.h"

#include <algorithm>

namespace stint {
namespace {

// What is made again and next used after more than this is dropped again, if the choice says so.
constexpr std::int64_t kSoonNs = 1'500'000;
// A gap is worth its copies if it lasts so many of them.
constexpr std::int64_t kCopiesInGap = 2;

std::size_t At(std::int32_t index) { return static_cast<std::size_t>(index); }

}  // namespace

SequenceBuilder::SequenceBuilder(const PagedProgram& program)
    : program_(program), marks_(program.ops.size(), 0) {
  for (const JointItem& item : program.items) {
    const auto end = static_cast<std::int32_t>(program.ops.size());
    facts_.push_back({.last_use = item.stays          ? end
                                  : item.uses.empty() ? kNoOp
                                                      : item.uses.back(),
                      .creator = item.creator,
                      .drop_after = item.drop_after,
                      .is_shard = item.is_shard,
                      .can_move = item.can_move,
                      .can_drop = item.can_drop,
                      .is_written = !item.writes.empty()});
  }
}

bool SequenceBuilder::Build(JointChoice& choice, JointSequence& sequence) {
  for (;;) {
    culprit_ = kNoOp;
    if (TryBuild(choice, sequence)) {
      return true;
    }
    if (culprit_ == kNoOp ||
        (choice.drops[At(culprit_)] == 0 && choice.drops_again[At(culprit_)] == 0)) {
      return false;
    }
    choice.drops[At(culprit_)] = 0;
    choice.drops_again[At(culprit_)] = 0;
  }
}

bool SequenceBuilder::TryBuild(JointChoice& choice, JointSequence& sequence) {
  const std::size_t item_count = program_.items.size();
  sequence.steps.clear();
  sequence.is_again.clear();
  sequence.begin_ns.assign(1, 0);
  sequence.run_of.clear();
  sequence.lives.clear();
  sequence.gaps.clear();
  sequence.turn = 0;
  sequence.recompute_ns = 0;
  wait_ns_.clear();
  life_of_.assign(item_count, kNoOp);
  used_at_.assign(item_count, kNoOp);
  first_use_.assign(item_count, kNoOp);
  std::array<std::int32_t, kGapClassCount> none{};
  none.fill(kNoOp);
  longest_.assign(item_count, none);
  for (std::int32_t step = 0; step < static_cast<std::int32_t>(program_.ops.size()); ++step) {
    if (!MakeAgain(step, choice, sequence)) {
      return false;
    }
    if (step == program_.turn) {
      sequence.turn = static_cast<std::int32_t>(sequence.steps.size());
    }
    sequence.run_of.push_back(static_cast<std::int32_t>(sequence.steps.size()));
    Run(step, false, choice, sequence);
    for (const std::int32_t item : program_.ReadsOf(step)) {
      const Facts& read = FactsOf(item);
      if (read.is_shard) {
        continue;
      }
      const bool drops = choice.drops[At(item)] != 0 && read.can_drop;
      const bool drops_again = choice.drops_again[At(item)] != 0 && step > read.drop_after;
      if (read.last_use == step || (drops && read.drop_after == step) ||
          (drops && drops_again && !IsUsedSoon(item, step + 1))) {
        life_of_[At(item)] = kNoOp;
      }
    }
  }
  for (std::size_t item = 0; item < item_count; ++item) {
    if (program_.items[item].stays && life_of_[item] != kNoOp) {
      sequence.lives[At(life_of_[item])].end = static_cast<std::int32_t>(sequence.steps.size()) - 1;
    }
  }
  AddWrappingGaps(sequence);
  return true;
}

/// Runs again what `step` reads and is not live, with all that this needs in turn.
bool SequenceBuilder::MakeAgain(std::int32_t step, const JointChoice& choice,
                                JointSequence& sequence) {
  again_.clear();
  ++mark_;
  for (const std::int32_t item : program_.ReadsOf(step)) {
    if (FactsOf(item).is_shard || life_of_[At(item)] != kNoOp) {
      continue;
    }
    const std::int32_t creator = FactsOf(item).creator;
    if (marks_[At(creator)] == mark_) {
      continue;
    }
    marks_[At(creator)] = mark_;
    stack_.assign(1, creator);
    if (!Collect(step)) {
      culprit_ = item;
      return false;
    }
  }
  std::sort(again_.begin(), again_.end());
  for (const std::int32_t again : again_) {
    Run(again, true, choice, sequence);
    sequence.recompute_ns += program_.ops[At(again)].duration_ns;
  }
  for (const std::int32_t again : again_) {
    for (const std::int32_t item : program_.MadeBy(again)) {
      const bool drops_again = choice.drops[At(item)] != 0 && choice.drops_again[At(item)] != 0;
      if (FactsOf(item).last_use < step || (drops_again && !IsUsedSoon(item, step))) {
        life_of_[At(item)] = kNoOp;
      }
    }
  }
  return true;
}

/// Adds the ops on the stack, and those that make what they lack, to `again_`.
bool SequenceBuilder::Collect(std::int32_t step) {
  while (!stack_.empty()) {
    const std::int32_t again = stack_.back();
    stack_.pop_back();
    if (program_.ops[At(again)].again_until < step) {
      return false;
    }
    again_.push_back(again);
    for (const std::int32_t item : program_.ReadsOf(again)) {
      if (FactsOf(item).is_shard || life_of_[At(item)] != kNoOp) {
        continue;
      }
      if (FactsOf(item).is_written) {
        return false;  // Made again it would lack what was written in place.
      }
      const std::int32_t creator = FactsOf(item).creator;
      if (marks_[At(creator)] != mark_) {
        marks_[At(creator)] = mark_;
        stack_.push_back(creator);
      }
    }
  }
  return true;
}

void SequenceBuilder::Run(std::int32_t step, bool is_again, const JointChoice& choice,
                          JointSequence& sequence) {
  const auto run = static_cast<std::int32_t>(sequence.steps.size());
  sequence.steps.push_back(step);
  sequence.is_again.push_back(is_again ? 1 : 0);
  sequence.begin_ns.push_back(sequence.begin_ns.back() + program_.ops[At(step)].duration_ns);
  for (const std::int32_t item : program_.ReadsOf(step)) {
    Use(item, run, sequence);
  }
  for (const std::int32_t item : program_.MadeBy(step)) {
    const Facts& made = FactsOf(item);
    const bool is_unused = made.last_use == kNoOp;
    const bool is_dropped = !is_again && choice.drops[At(item)] != 0 && made.can_drop &&
                            made.drop_after == made.creator;
    const bool is_of_another_version = is_again && made.is_written;
    if (is_unused || is_dropped || is_of_another_version || life_of_[At(item)] != kNoOp) {
      continue;
    }
    life_of_[At(item)] = static_cast<std::int32_t>(sequence.lives.size());
    sequence.lives.push_back({.item = item, .begin = run, .end = run});
    used_at_[At(item)] = run;
    std::array<std::int32_t, kGapClassCount> none{};
    none.fill(kNoOp);
    longest_[At(item)] = none;
  }
}

void SequenceBuilder::Use(std::int32_t item, std::int32_t run, JointSequence& sequence) {
  const Facts& used = FactsOf(item);
  const std::int32_t before = used_at_[At(item)];
  used_at_[At(item)] = run;
  const std::int32_t life = life_of_[At(item)];
  if (!used.is_shard) {
    sequence.lives[At(life)].end = run;
  } else if (before == kNoOp) {
    first_use_[At(item)] = run;
    return;
  }
  if (!used.can_move || run <= before + 1) {
    return;
  }
  // The turn's run is not known before it comes.
  const bool is_before = sequence.run_of.size() <= At(program_.turn);
  const GapClass kind = is_before                ? GapClass::kBeforeTurn
                        : before < sequence.turn ? GapClass::kAcrossTurn
                                                 : GapClass::kAfterTurn;
  AddGap({.item = item,
          .life = used.is_shard ? kNoOp : life,
          .begin = before,
          .end = run,
          .kind = kind},
         sequence.begin_ns[At(run)] - sequence.begin_ns[At(before) + 1], sequence);
}

void SequenceBuilder::AddGap(const SequenceGap& gap, std::int64_t wait_ns,
                             JointSequence& sequence) {
  const JointItem& item = program_.items[At(gap.item)];
  // A shard that nothing writes begins on the host, or is never away.
  const bool is_start = gap.kind == GapClass::kWraps && (item.writes.empty() || item.begins_away);
  if (!is_start && wait_ns < kCopiesInGap * std::max(item.to_host_ns, item.to_device_ns)) {
    return;
  }
  std::int32_t& longest = longest_[At(gap.item)][static_cast<std::size_t>(gap.kind)];
  if (longest == kNoOp) {
    longest = static_cast<std::int32_t>(sequence.gaps.size());
    sequence.gaps.push_back(gap);
    wait_ns_.push_back(wait_ns);
  } else if (wait_ns > wait_ns_[At(longest)]) {
    sequence.gaps[At(longest)] = gap;
    wait_ns_[At(longest)] = wait_ns;
  }
}

void SequenceBuilder::AddWrappingGaps(JointSequence& sequence) {
  const std::int64_t end_ns = sequence.begin_ns.back();
  for (std::size_t i = 0; i < program_.items.size(); ++i) {
    if (!program_.items[i].is_shard || first_use_[i] == kNoOp) {
      continue;
    }
    const std::int64_t wait_ns =
        end_ns - sequence.begin_ns[At(used_at_[i]) + 1] + sequence.begin_ns[At(first_use_[i])];
    AddGap({.item = static_cast<std::int32_t>(i),
            .begin = used_at_[i],
            .end = first_use_[i],
            .kind = GapClass::kWraps},
           wait_ns, sequence);
  }
}

bool SequenceBuilder::IsUsedSoon(std::int32_t item, std::int32_t step) const {
  const std::vector<std::int32_t>& uses = program_.items[At(item)].uses;
  const auto next = std::lower_bound(uses.begin(), uses.end(), step);
  return next != uses.end() && program_.begin_ns[At(*next)] - program_.begin_ns[At(step)] < kSoonNs;
}

}  // namespace stint
