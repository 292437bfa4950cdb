#include "planner/joint_timing.h"

#include <algorithm>
#include <limits>

#include "planner/peak_tree.h"

namespace stint {
namespace {

constexpr std::size_t kFetchesLookedAt = 24;
constexpr std::int64_t kNotYet = std::numeric_limits<std::int64_t>::max();

std::size_t At(std::int32_t index) { return static_cast<std::size_t>(index); }

/// Offloads under way, in the order in which they end.
class OutQueue {
 public:
  struct Copy {
    std::int64_t end_ns = 0;
    std::int32_t units = 0;
    std::size_t move = 0;
  };

  void Add(const Copy& copy) {
    copies_.push_back(copy);
    units_ += copy.units;
  }

  /// The first time, not before `now_ns`, at which no more than `most_units` are under way.
  std::int64_t WhenAtMost(std::int32_t most_units, std::int64_t now_ns) const {
    std::int32_t units = units_;
    std::int64_t when_ns = now_ns;
    for (std::size_t i = head_; i < copies_.size(); ++i) {
      if (copies_[i].end_ns > now_ns && units <= most_units) {
        break;
      }
      units -= copies_[i].units;
      when_ns = std::max(when_ns, copies_[i].end_ns);
    }
    return when_ns;
  }

  bool IsEmpty() const { return head_ == copies_.size(); }

  /// Forgets what is over at `now_ns`.
  void Advance(std::int64_t now_ns) {
    for (; head_ < copies_.size() && copies_[head_].end_ns <= now_ns; ++head_) {
      units_ -= copies_[head_].units;
    }
  }

  /// Calls `on_end` for each move that is over at `now_ns` and was not at the last call.
  template <typename OnEnd>
  void Tell(std::int64_t now_ns, OnEnd on_end) {
    for (; told_ < copies_.size() && copies_[told_].end_ns <= now_ns; ++told_) {
      on_end(copies_[told_].move);
    }
  }

 private:
  std::vector<Copy> copies_{};
  std::size_t head_ = 0;
  std::size_t told_ = 0;
  std::int32_t units_ = 0;
};

void ListMoves(const PagedProgram& program, const JointSequence& sequence, JointTimes& times) {
  times.moves.clear();
  for (std::size_t i = 0; i < sequence.gaps.size(); ++i) {
    if (sequence.gaps[i].is_evicted) {
      times.moves.push_back({.gap = static_cast<std::int32_t>(i)});
    }
  }
  std::sort(times.moves.begin(), times.moves.end(), [&](const JointMove& a, const JointMove& b) {
    const SequenceGap& first = sequence.gaps[At(a.gap)];
    const SequenceGap& second = sequence.gaps[At(b.gap)];
    if (first.end != second.end) {
      return first.end < second.end;
    }
    const std::int32_t first_units = program.items[At(first.item)].units;
    const std::int32_t second_units = program.items[At(second.item)].units;
    return first_units != second_units ? first_units > second_units : a.gap < b.gap;
  });
}

/// Whether something writes the item between `clean_since`, when the host had it, and the gap.
bool IsDirty(const PagedProgram& program, const JointSequence& sequence, const SequenceGap& gap,
             std::int32_t clean_since) {
  for (const std::int32_t step : program.items[At(gap.item)].writes) {
    const std::int32_t run = sequence.run_of[At(step)];
    const bool is_since = clean_since <= gap.begin ? run >= clean_since && run <= gap.begin
                                                   : run >= clean_since || run <= gap.begin;
    if (is_since) {
      return true;
    }
  }
  return false;
}

/// The host has what was offloaded in an earlier gap and not written since.
void MarkClean(const PagedProgram& program, const JointSequence& sequence, JointTimes& times) {
  // By life, and by shard: its moves in the order of their gaps.
  struct Link {
    std::int64_t chain = 0;
    std::int32_t begin = 0;
    std::size_t move = 0;
  };
  const auto life_count = static_cast<std::int64_t>(sequence.lives.size());
  std::vector<Link> links{};
  links.reserve(times.moves.size());
  for (std::size_t i = 0; i < times.moves.size(); ++i) {
    const SequenceGap& gap = sequence.gaps[At(times.moves[i].gap)];
    const std::int64_t chain = gap.life == kNoOp ? life_count + gap.item : gap.life;
    links.push_back({.chain = chain, .begin = gap.begin, .move = i});
  }
  std::sort(links.begin(), links.end(), [](const Link& a, const Link& b) {
    return a.chain != b.chain ? a.chain < b.chain : a.begin < b.begin;
  });
  for (std::size_t first = 0, end = 0; first < links.size(); first = end) {
    while (end < links.size() && links[end].chain == links[first].chain) {
      ++end;
    }
    for (std::size_t k = first; k < end; ++k) {
      JointMove& move = times.moves[links[k].move];
      const JointMove& before = times.moves[links[k > first ? k - 1 : end - 1].move];
      move.is_clean = links[k].chain >= life_count
                          ? !IsDirty(program, sequence, sequence.gaps[At(move.gap)],
                                     sequence.gaps[At(before.gap)].end)
                          : k > first;
    }
  }
}

/// One iteration on paper.
class Pass {
 public:
  Pass(const PagedProgram& program, const UnitLimits& limits, const JointSequence& sequence,
       const std::vector<std::int32_t>& units, std::int64_t most_ns, JointTimes& times)
      : program_(program),
        limits_(limits),
        sequence_(sequence),
        times_(times),
        run_count_(static_cast<std::int32_t>(sequence.steps.size())),
        most_ns_(most_ns),
        first_units_(units.front()),
        peaks_(units),
        host_ready_ns_(times.moves.size(), 0),
        arrival_ns_(times.moves.size(), kNotYet) {
    times_.stalls.clear();
    times_.to_device_ns = 0;
    times_.to_host_ns = 0;
  }

  /// Whether it came to the end within the most time.
  bool Run() {
    Begin();
    std::int64_t fetch_ns = 0;
    for (std::size_t i = 0; i < times_.moves.size(); ++i) {
      fetch_ns += ItemOf(i).to_device_ns;
    }
    for (std::int32_t run = 0; run < run_count_; ++run) {
      const std::int64_t run_ns = program_.ops[At(sequence_.steps[At(run)])].duration_ns;
      out_.Advance(compute_ns_);
      NoteGone(run, compute_ns_);
      IssueFetches(run, compute_ns_ + run_ns);
      std::int64_t begin_ns = compute_ns_;
      for (; due_ < times_.moves.size() && GapOf(due_).end == run; ++due_) {
        begin_ns = std::max(begin_ns, arrival_ns_[due_]);
      }
      if (!out_.IsEmpty()) {
        begin_ns = out_.WhenAtMost(limits_.all - peaks_.Max(run, run), begin_ns);
        NoteGone(run, begin_ns);
      }
      if (begin_ns > compute_ns_) {
        times_.stalls.emplace_back(begin_ns - compute_ns_, run);
      }
      compute_ns_ = begin_ns + run_ns;
      const std::int64_t left_ns = sequence_.begin_ns.back() - sequence_.begin_ns[At(run) + 1];
      const std::int64_t fetched_ns = std::max(compute_ns_, to_device_free_ns_) + fetch_ns;
      if (compute_ns_ + left_ns > most_ns_ || fetched_ns - times_.to_device_ns > most_ns_) {
        return false;
      }
      Leave(run);
    }
    times_.duration_ns = std::max({compute_ns_, to_host_free_ns_, to_device_free_ns_});
    return true;
  }

  /// Marks offloads that end after the last run and can wait. Whether there are any.
  bool MarkLate() {
    std::int32_t late_units = 0;
    bool has_late = false;
    if (!program_.is_cycle) {
      return false;
    }
    // The last ones first: those before them then end earlier.
    for (std::size_t k = by_begin_.size(); k-- > 0;) {
      const std::size_t i = by_begin_[k];
      JointMove& move = times_.moves[i];
      const SequenceGap& gap = GapOf(i);
      if (move.is_clean || gap.kind != GapClass::kWraps) {
        continue;
      }
      const std::int32_t item_units = ItemOf(i).units;
      if (host_ready_ns_[i] <= compute_ns_ ||
          first_units_ + late_units + item_units > limits_.all) {
        break;
      }
      const bool has_room = gap.begin + 1 >= run_count_ ||
                            peaks_.Max(gap.begin + 1, run_count_ - 1) + item_units <= limits_.all;
      if (!has_room) {
        break;
      }
      if (gap.begin + 1 < run_count_) {
        peaks_.Add(gap.begin + 1, run_count_ - 1, item_units);
      }
      late_units += item_units;
      move.is_late = true;
      has_late = true;
    }
    return has_late;
  }

 private:
  const SequenceGap& GapOf(std::size_t move) const {
    return sequence_.gaps[At(times_.moves[move].gap)];
  }
  const JointItem& ItemOf(std::size_t move) const { return program_.items[At(GapOf(move).item)]; }

  /// Late offloads go out, the others are sorted by when they do.
  void Begin() {
    for (std::size_t i = 0; i < times_.moves.size(); ++i) {
      JointMove& move = times_.moves[i];
      const SequenceGap& gap = GapOf(i);
      if (!move.is_late) {
        by_begin_.push_back(i);
        if (gap.kind == GapClass::kWraps) {
          waiting_.push_back(i);
        }
        move.gone_at = gap.begin + 1;
        continue;
      }
      Offload(i, 0);
      waiting_.push_back(i);
      if (gap.begin + 1 < run_count_) {
        peaks_.Add(gap.begin + 1, run_count_ - 1, ItemOf(i).units);
      }
    }
    std::sort(by_begin_.begin(), by_begin_.end(), [&](std::size_t a, std::size_t b) {
      return GapOf(a).begin != GapOf(b).begin ? GapOf(a).begin < GapOf(b).begin : a < b;
    });
  }

  void Offload(std::size_t move, std::int64_t now_ns) {
    const JointItem& item = ItemOf(move);
    to_host_free_ns_ = std::max(to_host_free_ns_, now_ns) + item.to_host_ns;
    times_.to_host_ns += item.to_host_ns;
    times_.moves[move].gone_at = run_count_;
    host_ready_ns_[move] = to_host_free_ns_;
    out_.Add({.end_ns = to_host_free_ns_, .units = item.units, .move = move});
  }

  void NoteGone(std::int32_t run, std::int64_t now_ns) {
    out_.Tell(now_ns, [&](std::size_t move) { times_.moves[move].gone_at = run; });
  }

  void Leave(std::int32_t run) {
    for (; leaving_ < by_begin_.size() && GapOf(by_begin_[leaving_]).begin == run; ++leaving_) {
      const std::size_t move = by_begin_[leaving_];
      if (times_.moves[move].is_clean) {
        host_ready_ns_[move] = 0;
      } else {
        Offload(move, compute_ns_);
      }
      if (GapOf(move).kind != GapClass::kWraps) {
        waiting_.insert(std::lower_bound(waiting_.begin(), waiting_.end(), move), move);
      }
    }
  }

  /// Those that `run` waits for, and others that begin before it ends at `end_ns`.
  void IssueFetches(std::int32_t run, std::int64_t end_ns) {
    std::size_t looked_at = 0;
    std::size_t issued = 0;
    for (; issued < waiting_.size() && looked_at < kFetchesLookedAt; ++issued) {
      const std::size_t move = waiting_[issued];
      const bool is_due = GapOf(move).end == run;
      if (!is_due && to_device_free_ns_ >= end_ns) {
        break;
      }
      looked_at += is_due ? 0 : 1;
      if (!Issue(move, run, is_due ? kNotYet : end_ns)) {
        break;  // Later ones shall not take the room that this one waits for.
      }
    }
    waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(issued));
  }

  /// Issues a fetch before `run` if it has room and begins before `latest_ns`. Whether it did.
  bool Issue(std::size_t move, std::int32_t run, std::int64_t latest_ns) {
    const JointItem& item = ItemOf(move);
    const std::int32_t end = GapOf(move).end;
    if (run < end && peaks_.Max(run, end - 1) + item.units > limits_.early) {
      return false;
    }
    const std::int32_t now_units = peaks_.Max(run, run) + (run < end ? item.units : 0);
    const std::int64_t ready_ns = std::max({to_device_free_ns_, compute_ns_, host_ready_ns_[move]});
    const std::int64_t begin_ns = out_.WhenAtMost(limits_.all - now_units, ready_ns);
    if (begin_ns >= latest_ns) {
      return false;
    }
    NoteGone(run, begin_ns);
    if (run < end) {
      peaks_.Add(run, end - 1, item.units);
    }
    to_device_free_ns_ = begin_ns + item.to_device_ns;
    times_.to_device_ns += item.to_device_ns;
    arrival_ns_[move] = to_device_free_ns_;
    times_.moves[move].fetched_at = run;
    return true;
  }

  const PagedProgram& program_;
  const UnitLimits limits_;
  const JointSequence& sequence_;
  JointTimes& times_;
  const std::int32_t run_count_;
  const std::int64_t most_ns_;
  const std::int32_t first_units_;  // Of the first run.
  PeakTree peaks_;
  OutQueue out_{};
  std::vector<std::int64_t> host_ready_ns_{};  // By move: the host has it, once it left.
  std::vector<std::int64_t> arrival_ns_{};     // By move: its fetch is over; kNotYet: not issued.
  std::vector<std::size_t> by_begin_{};        // Moves that leave after a run, in that order.
  std::size_t leaving_ = 0;                    // Index into by_begin_.
  std::vector<std::size_t> waiting_{};         // Moves that left and whose fetch is not issued.
  std::size_t due_ = 0;                        // All moves before it are due.
  std::int64_t compute_ns_ = 0;                // All runs so far are over.
  std::int64_t to_host_free_ns_ = 0;
  std::int64_t to_device_free_ns_ = 0;
};

}  // namespace

bool TimeSequence(const PagedProgram& program, const UnitLimits& limits,
                  const JointSequence& sequence, const std::vector<std::int32_t>& units,
                  std::int64_t most_ns, JointTimes& times) {
  ListMoves(program, sequence, times);
  MarkClean(program, sequence, times);
  Pass pass(program, limits, sequence, units, most_ns, times);
  if (!pass.Run()) {
    return false;
  }
  return !pass.MarkLate() || Pass(program, limits, sequence, units, most_ns, times).Run();
}

}  // namespace stint
