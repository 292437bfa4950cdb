#include "planner/paged_program.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "ir/units.h"
#include "planner/copy_cost.h"

namespace stint {
namespace {

constexpr std::int64_t kUnitBytes = 512;
constexpr std::int32_t kNoItem = -1;

std::int32_t UnitsOf(std::int64_t size_bytes) {
  return static_cast<std::int32_t>(AlignUp(size_bytes) / kUnitBytes);
}

/// When and how an iteration uses a persistent buffer.
struct PersistentUse {
  BufferId buffer{};
  std::int32_t first_use = kNever;
  bool is_written = false;
  bool is_written_repeatedly = false;
};

/// Buffers of one kind are used at one time: they may share a shard. Role, whether anything writes
/// it, the phase that uses it first.
using ShardKind = std::tuple<BufferRole, bool, std::int32_t>;

/// Of the persistent buffers on the device, by first use.
std::vector<PersistentUse> PersistentUses(const Problem& problem, const Program& program) {
  std::vector<PersistentUse> uses(problem.profile.buffers.size());
  for (std::int32_t step = 0; step < program.op_count; ++step) {
    const ProgramOp& op = program.ops[static_cast<std::size_t>(step)];
    const bool repeats =
        problem.profile.phases[static_cast<std::size_t>(op.phase)].repeat_count > 1;
    const OpEffects& effects = problem.effects[Index(op.id)];
    for (const Value& value : effects.reads) {
      PersistentUse& use = uses[Index(value.buffer)];
      use.first_use = std::min(use.first_use, step);
    }
    for (const Value& value : effects.writes) {
      uses[Index(value.buffer)].is_written = true;
      uses[Index(value.buffer)].is_written_repeatedly |= repeats;
    }
  }
  std::vector<PersistentUse> result{};
  for (const BufferId id : program.persistent) {
    uses[Index(id)].buffer = id;
    result.push_back(uses[Index(id)]);
  }
  std::stable_sort(result.begin(), result.end(),
                   [](const auto& a, const auto& b) { return a.first_use < b.first_use; });
  return result;
}

bool IsPinned(const Buffer& buffer, const PersistentUse& use, const JointRules& rules) {
  return !rules.moves_shards || buffer.role == BufferRole::kInput ||
         buffer.role == BufferRole::kWorkspace || buffer.role == BufferRole::kOutput ||
         use.first_use == kNever || use.is_written_repeatedly || buffer.size_bytes == 0;
}

class Maker {
 public:
  Maker(const Problem& problem, const Program& program, const JointRules& rules,
        const ShardTable& table, std::size_t phase)
      : problem_(problem),
        program_(program),
        rules_(rules),
        phase_(static_cast<std::int32_t>(phase)),
        begin_(static_cast<std::int32_t>(Index(problem.profile.phases[phase].begin))),
        end_(static_cast<std::int32_t>(Index(problem.profile.phases[phase].end))),
        item_of_(problem.profile.buffers.size(), kNoItem) {
    const std::vector<Phase>& phases = problem.profile.phases;
    result_.is_cycle = phases.size() == 1 && phases.front().repeat_count == 1;
    for (const BufferId id : table.pinned) {
      result_.pinned_units += UnitsOf(BufferOf(id).size_bytes);
    }
    if (rules.host_bytes) {
      values_host_bytes_ = (*rules.host_bytes - BytesOf(table)) / std::ssize(phases);
    }
    AddValues();
    AddShards(table);
  }

  PagedProgram Make() {
    AddOps();
    FindDropPlaces();
    result_.turn = FindTurn();
    return std::move(result_);
  }

 private:
  const Buffer& BufferOf(BufferId id) const { return problem_.profile.buffers[Index(id)]; }

  std::int64_t BytesOf(const ShardTable& table) const {
    std::int64_t size_bytes = 0;
    for (const std::vector<BufferId>& members : table.shards) {
      for (const BufferId id : members) size_bytes += AlignUp(BufferOf(id).size_bytes);
    }
    return size_bytes;
  }

  /// Whether the host has room for one more value; then it is taken.
  bool TakeHost(BufferId id) {
    if (!values_host_bytes_) return true;
    const std::int64_t size_bytes = AlignUp(BufferOf(id).size_bytes);
    if (size_bytes > *values_host_bytes_) return false;
    *values_host_bytes_ -= size_bytes;
    return true;
  }

  void AddItem(JointItem item) {
    const Device& device = problem_.profile.device;
    std::int64_t size_bytes = 0;
    for (const BufferId id : item.members) {
      size_bytes += AlignUp(BufferOf(id).size_bytes);
      item_of_[Index(id)] = static_cast<std::int32_t>(result_.items.size());
    }
    item.units = UnitsOf(size_bytes);
    // A value is copied as it is; a shard with the padding between its members.
    const std::int64_t copied_bytes =
        item.is_shard ? size_bytes : BufferOf(item.members.front()).size_bytes;
    item.to_host_ns = CostToHost(device, copied_bytes).beside_ns;
    item.to_device_ns = CostToDevice(device, copied_bytes).beside_ns;
    result_.items.push_back(std::move(item));
  }

  void AddValues() {
    for (std::size_t i = 0; i < program_.buffers.size(); ++i) {
      const MovableBuffer& buffer = program_.buffers[i];
      const BufferId id{static_cast<std::int32_t>(i)};
      if (buffer.creator == kNoOp || buffer.creator >= end_) {
        continue;
      }
      const std::int32_t last = buffer.uses.empty() ? kNoOp : buffer.uses.back();
      if (buffer.creator < begin_) {
        if (last >= begin_) {
          result_.pinned_units += UnitsOf(buffer.residence_bytes);
          if (last < end_) {
            result_.dying.push_back(id);
          }
        }
        continue;
      }
      const ProgramOp& op = program_.ops[static_cast<std::size_t>(buffer.creator)];
      const bool stays = last >= end_;
      const bool is_plain = buffer.writes.empty() && !stays;
      AddItem({.members = {id},
               // Values made early are away for longest.
               .can_move =
                   is_plain && BufferOf(id).size_bytes >= rules_.least_copy_bytes && TakeHost(id),
               .can_drop = is_plain && op.is_recomputable,
               .creator = buffer.creator - begin_,
               .stays = stays});
    }
  }

  void AddShards(const ShardTable& table) {
    std::vector<bool> is_used(problem_.profile.buffers.size(), false);
    for (std::int32_t step = begin_; step < end_; ++step) {
      const OpId op = program_.ops[static_cast<std::size_t>(step)].id;
      for (const Value& value : problem_.effects[Index(op)].reads) {
        is_used[Index(value.buffer)] = true;
      }
    }
    for (const std::vector<BufferId>& members : table.shards) {
      if (std::any_of(members.begin(), members.end(),
                      [&](BufferId id) { return is_used[Index(id)]; })) {
        const bool repeats =
            problem_.profile.phases[static_cast<std::size_t>(phase_)].repeat_count > 1;
        AddItem({.members = members,
                 .is_shard = true,
                 .can_move = true,
                 .begins_away = !result_.is_cycle && !repeats});
      }
    }
  }

  /// Appends `item` to the part of `all` that began at `begin`, once.
  static void AddOnce(std::vector<std::int32_t>& all, std::size_t begin, std::int32_t item) {
    if (item != kNoItem &&
        std::find(all.begin() + static_cast<std::ptrdiff_t>(begin), all.end(), item) == all.end()) {
      all.push_back(item);
    }
  }

  void AddOps() {
    std::int64_t now_ns = 0;
    for (std::int32_t step = 0; step < end_ - begin_; ++step) {
      const ProgramOp& op =
          program_.ops[static_cast<std::size_t>(begin_) + static_cast<std::size_t>(step)];
      const OpEffects& effects = problem_.effects[Index(op.id)];
      result_.ops.push_back(
          {.id = op.id,
           .duration_ns = op.duration_ns,
           .script_units = UnitsOf(op.script_peak_bytes),
           .again_until =
               op.is_recomputable ? std::min(op.readable_until, program_.op_count) - begin_ : -1});
      result_.begin_ns.push_back(now_ns);
      now_ns += op.duration_ns;
      const std::size_t begin = result_.reads.size();
      for (const Value& value : effects.reads) {
        AddOnce(result_.reads, begin, item_of_[Index(value.buffer)]);
      }
      result_.read_ends.push_back(static_cast<std::int32_t>(result_.reads.size()));
      for (const BufferId id : op.creates) {
        if (item_of_[Index(id)] != kNoItem) {
          result_.makes.push_back(item_of_[Index(id)]);
        }
      }
      result_.make_ends.push_back(static_cast<std::int32_t>(result_.makes.size()));
      for (const std::int32_t item : result_.ReadsOf(step)) {
        result_.items[static_cast<std::size_t>(item)].uses.push_back(step);
      }
      for (const Value& value : effects.writes) {
        NoteWrite(item_of_[Index(value.buffer)], step);
      }
    }
    result_.begin_ns.push_back(now_ns);
  }

  void NoteWrite(std::int32_t item, std::int32_t step) {
    if (item == kNoItem) {
      return;
    }
    std::vector<std::int32_t>& writes = result_.items[static_cast<std::size_t>(item)].writes;
    if (writes.empty() || writes.back() != step) {
      writes.push_back(step);
    }
  }

  void FindDropPlaces() {
    for (JointItem& item : result_.items) {
      if (!item.can_drop) {
        continue;
      }
      std::int32_t before = item.creator;
      std::int64_t longest_ns = -1;
      for (const std::int32_t use : item.uses) {
        const std::int64_t wait_ns = result_.begin_ns[static_cast<std::size_t>(use)] -
                                     result_.begin_ns[static_cast<std::size_t>(before) + 1];
        if (use > before + 1 && wait_ns > longest_ns) {
          longest_ns = wait_ns;
          item.drop_after = before;
        }
        before = use;
      }
      item.can_drop = item.drop_after != kNoOp;
    }
  }

  /// The step with the most bytes if everything is kept. Shards do not matter here.
  std::int32_t FindTurn() const {
    std::vector<std::int64_t> change(result_.ops.size() + 1, 0);
    for (const JointItem& item : result_.items) {
      if (!item.is_shard && !item.uses.empty()) {
        change[static_cast<std::size_t>(item.creator) + 1] += item.units;
        change[static_cast<std::size_t>(item.uses.back()) + 1] -= item.units;
      }
    }
    std::int64_t live_units = 0;
    std::int64_t most_units = -1;
    std::int32_t turn = 0;
    for (std::size_t step = 0; step < result_.ops.size(); ++step) {
      live_units += change[step];
      const std::int64_t during_units = live_units + result_.ops[step].script_units;
      if (during_units > most_units) {
        most_units = during_units;
        turn = static_cast<std::int32_t>(step);
      }
    }
    return turn;
  }

  const Problem& problem_;
  const Program& program_;
  const JointRules& rules_;
  const std::int32_t phase_;
  const std::int32_t begin_;           // The phase's first step of the program; then one past
  const std::int32_t end_;             // its last.
  std::vector<std::int32_t> item_of_;  // By buffer.
  std::optional<std::int64_t> values_host_bytes_{};  // Left for values of the phase; empty: any.
  PagedProgram result_{};
};

}  // namespace

ShardTable MakeShards(const Problem& problem, const Program& program, const JointRules& rules) {
  ShardTable table{};
  std::map<ShardKind, std::pair<std::vector<BufferId>, std::int64_t>> open{};
  std::vector<PersistentUse> uses = PersistentUses(problem, program);
  if (rules.host_bytes) {
    std::stable_partition(uses.begin(), uses.end(), [&](const PersistentUse& use) {
      const BufferRole role = problem.profile.buffers[Index(use.buffer)].role;
      return role == BufferRole::kOptimizerState || role == BufferRole::kEma;
    });
  }
  std::int64_t total_bytes = 0;
  for (const PersistentUse& use : uses) {
    const Buffer& buffer = problem.profile.buffers[Index(use.buffer)];
    const bool has_room =
        !rules.host_bytes || total_bytes + AlignUp(buffer.size_bytes) <= *rules.host_bytes;
    if (IsPinned(buffer, use, rules) || !has_room) {
      table.pinned.push_back(use.buffer);
      continue;
    }
    total_bytes += AlignUp(buffer.size_bytes);
    const ShardKind kind{buffer.role, use.is_written,
                         program.ops[static_cast<std::size_t>(use.first_use)].phase};
    auto& [members, size_bytes] = open[kind];
    members.push_back(use.buffer);
    size_bytes += AlignUp(buffer.size_bytes);
    if (size_bytes >= rules.shard_bytes) {
      table.shards.push_back(std::move(members));
      open.erase(kind);
    }
  }
  for (auto& [kind, shard] : open) {
    table.shards.push_back(std::move(shard.first));
  }
  for (std::vector<BufferId>& members : table.shards) {
    std::sort(members.begin(), members.end());
  }
  std::sort(table.pinned.begin(), table.pinned.end());
  return table;
}

PagedProgram MakePagedProgram(const Problem& problem, const Program& program,
                              const JointRules& rules, const ShardTable& table, std::size_t phase) {
  return Maker(problem, program, rules, table, phase).Make();
}

}  // namespace stint
