#include "planner/joint_windows.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "ir/copy_floor.h"
#include "ir/errors.h"
#include "ir/units.h"
#include "planner/early_updates.h"
#include "planner/program.h"

namespace stint {
namespace {

bool IsPaged(const Profile& profile, BufferId id) {
  const Buffer& buffer = profile.buffers[Index(id)];
  return !buffer.is_host && buffer.role != BufferRole::kWorkspace;
}

/// By op: whether it is an update that the order may move: it runs earlier than it was recorded, or
/// could.
std::vector<bool> FindUpdates(const Profile& profile, const std::vector<OpEffects>& effects) {
  std::vector<std::size_t> last_use(profile.buffers.size(), 0);
  for (std::size_t i = 0; i < effects.size(); ++i) {
    for (const Value& value : effects[i].reads) last_use[Index(value.buffer)] = i;
  }
  std::vector<bool> is_update(effects.size(), false);
  for (std::size_t i = 0; i < effects.size(); ++i) {
    if (!effects[i].creates.empty() || profile.ops[i].random) continue;
    const auto is_state = [&](BufferId id) {
      return profile.buffers[Index(id)].is_persistent && !profile.buffers[Index(id)].is_host;
    };
    const auto is_used_up = [&](BufferId id) {
      const Buffer& buffer = profile.buffers[Index(id)];
      return !buffer.is_host && last_use[Index(id)] == i && buffer.role != BufferRole::kOutput;
    };
    const std::vector<BufferId>& writes = profile.ops[i].writes;
    is_update[i] =
        std::ranges::any_of(writes, is_state) &&
        std::ranges::all_of(writes, [&](BufferId id) { return is_state(id) || is_used_up(id); });
  }
  return is_update;
}

class Maker {
 public:
  Maker(const Profile& profile, const std::vector<OpEffects>& effects)
      : profile_(profile), effects_(effects) {}

  JointProgram Make(UpdateOrder updates, const std::vector<std::int32_t>& cuts,
                    const CopyFloor& floor) {
    joint_ = {.updates = updates, .order = JointOrder(profile_, effects_, updates), .cuts = cuts};
    AddOps(MakeProgram(profile_, effects_, joint_.order));
    AddBuffers(floor);
    JoinAlike();
    return std::move(joint_);
  }

 private:
  std::int32_t WindowOf(std::int32_t place) const {
    return static_cast<std::int32_t>(std::ranges::upper_bound(joint_.cuts, place) -
                                     joint_.cuts.begin()) -
           1;
  }

  void AddOps(const Program& program) {
    const auto op_count = static_cast<std::int32_t>(joint_.order.size());
    const std::vector<bool> is_update = FindUpdates(profile_, effects_);
    joint_.window_ns.assign(joint_.cuts.size(), 0);
    joint_.late_ns = joint_.window_ns;
    std::vector<std::int32_t> next_write(profile_.buffers.size(), op_count);
    joint_.ops.resize(joint_.order.size());
    for (std::int32_t place = op_count - 1; place >= 0; --place) {
      const auto index = static_cast<std::size_t>(place);
      const OpId id = joint_.order[index];
      const OpEffects& effect = effects_[Index(id)];
      JointOp& op = joint_.ops[index];
      op = {.id = id,
            .duration_ns = profile_.ops[Index(id)].duration_ns,
            .window = WindowOf(place),
            .may_move = joint_.updates == UpdateOrder::kMovable && is_update[Index(id)],
            .can_run_again = effect.is_recomputable,
            .lost_from = op_count,
            .reads = effect.reads,
            .creates = effect.creates};
      for (const Value& value : effect.reads) {
        if (!profile_.buffers[Index(value.buffer)].is_persistent) continue;
        op.lost_from = std::min(op.lost_from, next_write[Index(value.buffer)]);
      }
      if (!op.may_move) {
        for (const Value& value : effect.writes) next_write[Index(value.buffer)] = place;
      }
      (op.may_move ? joint_.late_ns : joint_.window_ns)[static_cast<std::size_t>(op.window)] +=
          op.duration_ns;
    }
    std::int64_t fixed_bytes = 0;
    for (const Buffer& buffer : profile_.buffers) {
      const bool is_fixed = !buffer.is_host && buffer.role == BufferRole::kWorkspace;
      if (is_fixed) fixed_bytes += AlignUp(buffer.size_bytes);
    }
    for (const std::int32_t cut : joint_.cuts) {
      const std::int64_t script_bytes =
          program.ops[static_cast<std::size_t>(cut)].script_peak_bytes;
      joint_.taken_blocks.push_back((fixed_bytes + script_bytes) / kAlignmentBytes);
    }
  }

  void AddBuffers(const CopyFloor& floor) {
    const auto op_count = static_cast<std::int32_t>(joint_.order.size());
    joint_.buffer_of.assign(profile_.buffers.size(), -1);
    for (std::size_t i = 0; i < profile_.buffers.size(); ++i) {
      const Buffer& buffer = profile_.buffers[i];
      const BufferId id{static_cast<std::int32_t>(i)};
      if (!IsPaged(profile_, id)) continue;
      joint_.buffer_of[i] = static_cast<std::int32_t>(joint_.buffers.size());
      const auto cost_ns = [&](CopyWay way) {
        return buffer.is_persistent ? floor.SharedNs(way, buffer.size_bytes)
                                    : floor.OwnNs(way, buffer.size_bytes);
      };
      joint_.buffers.push_back({.id = id,
                                .is_persistent = buffer.is_persistent,
                                .creator = buffer.is_persistent ? -1 : op_count,
                                .first_write = op_count,
                                .blocks = AlignUp(buffer.size_bytes) / kAlignmentBytes,
                                .to_host_ns = cost_ns(CopyWay::kToHost),
                                .to_device_ns = cost_ns(CopyWay::kToDevice),
                                .members = {id}});
    }
    for (std::int32_t place = 0; place < op_count; ++place) NoteUses(place);
    for (JointBuffer& buffer : joint_.buffers) {
      const bool stays = profile_.buffers[Index(buffer.id)].role == BufferRole::kOutput &&
                         buffer.creator >= 0 && buffer.creator < op_count;
      if (stays) buffer.used |= WindowMask{1} << (joint_.window_count() - 1);
    }
  }

  JointBuffer& BufferOf(BufferId id) {
    return joint_.buffers[static_cast<std::size_t>(joint_.buffer_of[Index(id)])];
  }

  void NoteUses(std::int32_t place) {
    const JointOp& op = joint_.ops[static_cast<std::size_t>(place)];
    const WindowMask bit = WindowMask{1} << op.window;
    const bool is_cut = joint_.cuts[static_cast<std::size_t>(op.window)] == place;
    for (const BufferId id : op.creates) {
      if (IsPaged(profile_, id) && !profile_.buffers[Index(id)].is_persistent) {
        BufferOf(id).creator = place;
      }
    }
    for (const Value& value : op.reads) {
      JointBuffer& buffer = BufferOf(value.buffer);
      (op.may_move ? buffer.late : buffer.used) |= bit;
      if (is_cut) buffer.held |= bit;
    }
    for (const Value& value : effects_[Index(op.id)].writes) {
      JointBuffer& buffer = BufferOf(value.buffer);
      if (op.may_move) {
        buffer.late_write = std::max(buffer.late_write, op.window);
      } else {
        buffer.written |= bit;
        buffer.first_write = std::min(buffer.first_write, place);
      }
    }
  }

  void JoinAlike() {
    std::map<std::tuple<WindowMask, WindowMask, WindowMask, WindowMask, std::int32_t>, std::int32_t>
        first_of{};
    std::vector<JointBuffer> joined{};
    for (JointBuffer& buffer : joint_.buffers) {
      const auto next = static_cast<std::int32_t>(joined.size());
      std::int32_t index = next;
      if (buffer.is_persistent) {
        index = first_of
                    .emplace(std::tuple(buffer.used, buffer.late, buffer.written, buffer.held,
                                        buffer.late_write),
                             next)
                    .first->second;
      }
      joint_.buffer_of[Index(buffer.id)] = index;
      if (index == next) {
        joined.push_back(std::move(buffer));
        continue;
      }
      JointBuffer& first = joined[static_cast<std::size_t>(index)];
      first.blocks += buffer.blocks;
      first.to_host_ns += buffer.to_host_ns;
      first.to_device_ns += buffer.to_device_ns;
      first.members.push_back(buffer.id);
    }
    joint_.buffers = std::move(joined);
  }

  const Profile& profile_;
  const std::vector<OpEffects>& effects_;
  JointProgram joint_{};
};

/// By place: bytes of activations that live if all are kept, and bytes that the op needs to run.
struct Needs {
  std::vector<std::int64_t> live_bytes{};
  std::vector<std::int64_t> working_bytes{};
  std::vector<std::int64_t> start_ns{};  // And the end of the last.
  std::vector<bool> can_be_cut{};
};

Needs NeedsOf(const Profile& profile, const std::vector<OpEffects>& effects,
              const std::vector<OpId>& order) {
  const Program program = MakeProgram(profile, effects, order);
  Needs needs{.start_ns = {0}};
  std::vector<std::int64_t> change(order.size() + 2, 0);
  for (const MovableBuffer& buffer : program.buffers) {
    if (buffer.creator == kNoOp || buffer.uses.empty()) continue;
    change[static_cast<std::size_t>(buffer.creator)] += buffer.residence_bytes;
    change[static_cast<std::size_t>(buffer.uses.back()) + 1] -= buffer.residence_bytes;
  }
  std::int64_t live_bytes = 0;
  for (std::size_t place = 0; place < order.size(); ++place) {
    const ProgramOp& op = program.ops[place];
    live_bytes += change[place];
    std::int64_t working_bytes = op.script_peak_bytes;
    for (const Value& value : effects[Index(op.id)].reads) {
      working_bytes += AlignUp(profile.buffers[Index(value.buffer)].size_bytes);
    }
    needs.live_bytes.push_back(live_bytes);
    needs.working_bytes.push_back(working_bytes);
    needs.start_ns.push_back(needs.start_ns.back() + op.duration_ns);
    needs.can_be_cut.push_back(!op.creates.empty());
  }
  return needs;
}

}  // namespace

bool HasJointProgram(const Profile& profile, const std::vector<OpEffects>& effects) {
  const bool repeats = std::ranges::any_of(
      profile.phases, [](const Phase& phase) { return phase.repeat_count > 1; });
  return !repeats && !effects.empty() && !effects.front().creates.empty() &&
         !profile.device.copy_times.empty();
}

std::vector<OpId> JointOrder(const Profile& profile, const std::vector<OpEffects>& effects,
                             UpdateOrder updates) {
  return updates == UpdateOrder::kRecorded ? RecordedOrder(profile)
                                           : EarlyUpdateOrder(profile, effects);
}

std::vector<std::int32_t> ChooseCuts(const Profile& profile, const std::vector<OpEffects>& effects,
                                     UpdateOrder updates, int forward_count, int backward_count) {
  const Needs needs = NeedsOf(profile, effects, JointOrder(profile, effects, updates));
  const auto peak =
      static_cast<std::size_t>(std::max_element(needs.live_bytes.begin(), needs.live_bytes.end()) -
                               needs.live_bytes.begin());
  std::vector<std::int32_t> cuts{0};
  const auto add_best = [&](double begin_ns, double end_ns) {
    std::int64_t most_bytes = -1;
    std::size_t best = 0;
    for (std::size_t place = 0; place < needs.working_bytes.size(); ++place) {
      const auto start_ns = static_cast<double>(needs.start_ns[place]);
      if (start_ns < begin_ns || start_ns >= end_ns || !needs.can_be_cut[place]) continue;
      if (needs.working_bytes[place] <= most_bytes) continue;
      most_bytes = needs.working_bytes[place];
      best = place;
    }
    if (most_bytes >= 0) cuts.push_back(static_cast<std::int32_t>(best));
  };
  const auto peak_ns = static_cast<double>(needs.start_ns[peak]);
  const double forward_ns = peak_ns / forward_count;
  for (int i = 1; i < forward_count; ++i) add_best(forward_ns * (i - 0.5), forward_ns * (i + 0.5));
  const double backward_ns =
      (static_cast<double>(needs.start_ns.back()) - peak_ns) / std::max(1, backward_count);
  for (int i = 0; i < backward_count; ++i) {
    add_best(peak_ns + backward_ns * i, peak_ns + backward_ns * (i + 1));
  }
  const bool has_state =
      std::ranges::any_of(effects, [](const OpEffects& effect) { return effect.creates.empty(); });
  if (!has_state && needs.can_be_cut[peak]) cuts.push_back(static_cast<std::int32_t>(peak));
  std::sort(cuts.begin(), cuts.end());
  cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
  return cuts;
}

JointProgram MakeJointProgram(const Profile& profile, const std::vector<OpEffects>& effects,
                              UpdateOrder updates, const std::vector<std::int32_t>& cuts,
                              std::int64_t largest_copy_bytes, std::int64_t other_way_permille) {
  Check(
      !cuts.empty() && cuts.front() == 0 && static_cast<std::int32_t>(cuts.size()) <= kMostWindows,
      "the first cut is the first op, and there are not too many");
  const CopyFloor floor(profile.device, largest_copy_bytes, other_way_permille);
  JointProgram joint = Maker(profile, effects).Make(updates, cuts, floor);
  joint.other_way_permille = other_way_permille;
  return joint;
}

}  // namespace stint
