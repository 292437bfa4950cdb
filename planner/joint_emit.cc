#include "planner/joint_emit.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "ir/units.h"
#include "planner/schedule.h"

namespace stint {
namespace {

std::size_t At(std::int32_t index) { return static_cast<std::size_t>(index); }

bool BeginsAway(const JointPhase& phase, std::size_t item) {
  return std::any_of(phase.times.moves.begin(), phase.times.moves.end(), [&](const auto& move) {
    const SequenceGap& gap = phase.sequence.gaps[At(move.gap)];
    return gap.kind == GapClass::kWraps && !move.is_late && At(gap.item) == item;
  });
}

/// Shards and host places of all phases, and what is resident at the start.
class Places {
 public:
  Places(const Profile& profile, const ShardTable& table, const std::vector<JointPhase>& phases,
         PagedSchedule& result)
      : profile_(profile),
        table_(table),
        phases_(phases),
        result_(result),
        shard_of_(profile.buffers.size()),
        moves_(profile.buffers.size(), false) {}

  void Make() {
    for (const JointPhase& phase : phases_) {
      for (const JointMove& move : phase.times.moves) {
        moves_[Index(FirstOf(phase, move))] = true;
      }
    }
    result_.initial = table_.pinned;
    for (const std::vector<BufferId>& members : table_.shards) {
      if (moves_[Index(members.front())] || !IsCycle()) {
        AddShard(members);
      } else {
        result_.initial.insert(result_.initial.end(), members.begin(), members.end());
      }
    }
    std::sort(result_.initial.begin(), result_.initial.end());
    AddHostPlaces();
    ListInitialShards();
  }

  /// By buffer: the shard whose first member it is, if that moves.
  const std::vector<std::optional<ShardId>>& shard_of() const { return shard_of_; }

 private:
  bool IsCycle() const { return phases_.front().program.is_cycle; }

  static BufferId FirstOf(const JointPhase& phase, const JointMove& move) {
    const SequenceGap& gap = phase.sequence.gaps[At(move.gap)];
    return phase.program.items[At(gap.item)].members.front();
  }

  std::int64_t TakeHost(std::int64_t size_bytes) {
    const std::int64_t offset_bytes = result_.host_bytes;
    result_.host_bytes += AlignUp(size_bytes);
    return offset_bytes;
  }

  void AddShard(const std::vector<BufferId>& members) {
    const std::string& first = profile_.buffers[Index(members.front())].name;
    const std::string& last = profile_.buffers[Index(members.back())].name;
    Shard shard{.name = first == last ? first : fmt::format("{} .. {}", first, last)};
    for (const BufferId member : members) {
      shard.members.push_back({.buffer = member, .offset_bytes = shard.size_bytes});
      shard.size_bytes += AlignUp(profile_.buffers[Index(member)].size_bytes);
    }
    shard.host_offset_bytes = TakeHost(shard.size_bytes);
    shard_of_[Index(members.front())] = ShardId{static_cast<std::int32_t>(result_.shards.size())};
    result_.shards.push_back(std::move(shard));
  }

  void AddHostPlaces() {
    for (std::size_t i = 0; i < moves_.size(); ++i) {
      if (moves_[i] && !shard_of_[i]) {
        result_.host.push_back({.buffer = BufferId{static_cast<std::int32_t>(i)},
                                .offset_bytes = TakeHost(profile_.buffers[i].size_bytes)});
      }
    }
  }

  void ListInitialShards() {
    if (!IsCycle()) {
      return;
    }
    const std::vector<JointItem>& items = phases_.front().program.items;
    for (std::size_t i = 0; i < items.size(); ++i) {
      const std::optional<ShardId>& shard = shard_of_[Index(items[i].members.front())];
      if (shard && !BeginsAway(phases_.front(), i)) {
        result_.initial_shards.push_back(*shard);
      }
    }
  }

  const Profile& profile_;
  const ShardTable& table_;
  const std::vector<JointPhase>& phases_;
  PagedSchedule& result_;
  std::vector<std::optional<ShardId>> shard_of_;
  std::vector<bool> moves_;  // By buffer: a value, or the first member of a shard.
};

/// Writes the instructions of one phase.
class Emitter {
 public:
  Emitter(const JointPhase& phase, const std::vector<std::optional<ShardId>>& shard_of,
          std::int64_t repeat_count, PagedSchedule& result)
      : program_(phase.program),
        sequence_(phase.sequence),
        times_(phase.times),
        run_count_(phase.sequence.steps.size()),
        shard_of_(shard_of),
        repeat_count_(repeat_count),
        result_(result) {
    if (repeat_count > 1) {
      for (std::size_t i = 0; i < program_.items.size(); ++i) {
        if (program_.items[i].is_shard && !BeginsAway(phase, i)) {
          kept_.push_back(static_cast<std::int32_t>(i));
        }
      }
    }
  }

  void Emit() {
    for (const std::int32_t item : kept_) {
      AddMove(InstructionKind::kFetch, item);
    }
    EndPart(1);
    EmitBody();
    EndPart(repeat_count_);
    for (const std::int32_t item : kept_) {
      AddMove(InstructionKind::kDrop, item);
    }
    for (const BufferId id : program_.dying) {
      Add(FreeInstruction(id));
    }
    EndPart(1);
  }

 private:
  const SequenceGap& GapOf(const JointMove& move) const { return sequence_.gaps[At(move.gap)]; }

  void EndPart(std::int64_t repeat_count) {
    result_.parts.push_back({.end = result_.instructions.size(), .repeat_count = repeat_count});
  }

  void EmitBody() {
    SortMoves();
    const std::size_t first = result_.instructions.size();
    for (std::size_t run = 0; run < run_count_; ++run) {
      group_at_.push_back(static_cast<std::int32_t>(result_.instructions.size()));
      EmitRun(run);
    }
    group_at_.push_back(static_cast<std::int32_t>(result_.instructions.size()));
    for (std::size_t i = first; i < result_.instructions.size(); ++i) {
      if (result_.instructions[i].kind == InstructionKind::kOffload) {
        result_.gone_by[i] = group_at_[At(result_.gone_by[i])];
      }
    }
  }

  void SortMoves() {
    fetches_.resize(run_count_);
    leaves_.resize(run_count_);
    frees_.resize(run_count_);
    for (std::size_t i = 0; i < times_.moves.size(); ++i) {
      const JointMove& move = times_.moves[i];
      fetches_[At(move.fetched_at)].push_back(i);
      if (!move.is_late) {
        leaves_[At(GapOf(move).begin)].push_back(i);
      }
    }
    for (const JointLife& life : sequence_.lives) {
      if (!program_.items[At(life.item)].stays) {
        frees_[At(life.end)].push_back(life.item);
      }
    }
  }

  void Add(Instruction instruction, std::int32_t gone_at_run = 0) {
    result_.instructions.push_back(std::move(instruction));
    result_.gone_by.push_back(gone_at_run);
  }

  void AddMove(InstructionKind kind, std::int32_t item, std::int32_t gone_at_run = 0) {
    Instruction instruction{.kind = kind};
    const BufferId first = program_.items[At(item)].members.front();
    if (program_.items[At(item)].is_shard) {
      instruction.shard = shard_of_[Index(first)];
    } else {
      instruction.buffer = first;
    }
    Add(std::move(instruction), gone_at_run);
  }

  void EmitRun(std::size_t run) {
    for (const JointMove& move : times_.moves) {
      if (run == 0 && move.is_late) {
        AddMove(InstructionKind::kOffload, GapOf(move).item, move.gone_at);
      }
    }
    for (const std::size_t i : fetches_[run]) {
      AddMove(InstructionKind::kFetch, GapOf(times_.moves[i]).item);
    }
    const std::int32_t step = sequence_.steps[run];
    Add(ComputeInstruction(program_.ops[At(step)].id, Discards(run)));
    for (const std::int32_t item : frees_[run]) {
      Add(FreeInstruction(program_.items[At(item)].members.front()));
    }
    for (const std::size_t i : leaves_[run]) {
      const JointMove& move = times_.moves[i];
      AddMove(move.is_clean ? InstructionKind::kDrop : InstructionKind::kOffload, GapOf(move).item,
              move.gone_at);
    }
  }

  /// What the op of `run` makes and no life begins with.
  std::vector<BufferId> Discards(std::size_t run) {
    std::vector<std::int32_t> kept{};
    for (; next_life_ < sequence_.lives.size() && At(sequence_.lives[next_life_].begin) == run;
         ++next_life_) {
      kept.push_back(sequence_.lives[next_life_].item);
    }
    std::vector<BufferId> discards{};
    for (const std::int32_t item : program_.MadeBy(sequence_.steps[run])) {
      if (std::find(kept.begin(), kept.end(), item) == kept.end()) {
        discards.push_back(program_.items[At(item)].members.front());
      }
    }
    return discards;
  }

  const PagedProgram& program_;
  const JointSequence& sequence_;
  const JointTimes& times_;
  const std::size_t run_count_;
  const std::vector<std::optional<ShardId>>& shard_of_;
  const std::int64_t repeat_count_;
  PagedSchedule& result_;
  std::vector<std::int32_t> kept_{};      // Shards on the device from prologue to epilogue.
  std::vector<std::int32_t> group_at_{};  // By run: its first instruction; the end.
  std::vector<std::vector<std::size_t>> fetches_{};  // By run: moves.
  std::vector<std::vector<std::size_t>> leaves_{};   // By run: moves.
  std::vector<std::vector<std::int32_t>> frees_{};   // By run: items.
  std::size_t next_life_ = 0;
};

}  // namespace

PagedSchedule EmitJoint(const Profile& profile, const ShardTable& table,
                        const std::vector<JointPhase>& phases) {
  PagedSchedule result{};
  Places places(profile, table, phases, result);
  places.Make();
  for (std::size_t i = 0; i < phases.size(); ++i) {
    Emitter(phases[i], places.shard_of(), profile.phases[i].repeat_count, result).Emit();
  }
  return result;
}

}  // namespace stint
