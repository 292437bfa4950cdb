#include "planner/early_updates.h"

#include <algorithm>
#include <cstdint>
#include <tuple>

namespace stint {
namespace {

/// By buffer: the last op that reads or writes it.
std::vector<std::int32_t> LastOps(const std::vector<OpEffects>& effects, std::size_t count) {
  std::vector<std::int32_t> last_op(count, -1);
  for (std::size_t i = 0; i < effects.size(); ++i) {
    for (const Value& value : effects[i].reads) {
      last_op[Index(value.buffer)] = static_cast<std::int32_t>(i);
    }
  }
  return last_op;
}

/// The place of an op: an update comes after the other op of its slot, which is an op index, or one
/// less than the first of its phase.
struct Slot {
  std::int32_t after = -1;
  bool is_update = false;
};

/// Gives each op its slot, in the recorded order.
class Slots {
 public:
  Slots(const Profile& profile, const std::vector<OpEffects>& effects)
      : profile_(profile),
        effects_(effects),
        last_op_(LastOps(effects, profile.buffers.size())),
        slots_(profile.ops.size()),
        last_write_(profile.buffers.size(), -1),
        last_use_(profile.buffers.size(), -1) {}

  void Give(const Phase& phase) {
    const auto begin = static_cast<std::int32_t>(Index(phase.begin));
    const auto end = static_cast<std::int32_t>(Index(phase.end));
    for (std::int32_t i = begin; i < end; ++i) {
      const auto op = static_cast<std::size_t>(i);
      const bool is_update = phase.repeat_count == 1 && IsUpdate(op);
      slots_[op] = {.after = is_update ? EarliestOf(effects_[op], begin - 1) : i,
                    .is_update = is_update};
      Note(effects_[op], slots_[op].after);
    }
  }

  const Slot& Of(OpId op) const { return slots_[Index(op)]; }

 private:
  bool IsUpdate(std::size_t op) const {
    bool writes_persistent = false;
    for (const BufferId id : profile_.ops[op].writes) {
      const Buffer& buffer = profile_.buffers[Index(id)];
      const bool dies = last_op_[Index(id)] == static_cast<std::int32_t>(op) &&
                        buffer.role != BufferRole::kOutput;
      if (buffer.is_host || (!buffer.is_persistent && !dies)) {
        return false;
      }
      writes_persistent = writes_persistent || buffer.is_persistent;
    }
    return writes_persistent && effects_[op].creates.empty() && !profile_.ops[op].random;
  }

  std::int32_t EarliestOf(const OpEffects& effects, std::int32_t earliest) const {
    for (const Value& value : effects.reads) {
      earliest = std::max(earliest, last_write_[Index(value.buffer)]);
    }
    for (const Value& value : effects.writes) {
      earliest = std::max(earliest, last_use_[Index(value.buffer)]);
    }
    return earliest;
  }

  void Note(const OpEffects& effects, std::int32_t slot) {
    const auto note = [&](std::vector<std::int32_t>& last, BufferId buffer) {
      last[Index(buffer)] = std::max(last[Index(buffer)], slot);
    };
    for (const Value& value : effects.reads) {
      note(last_use_, value.buffer);
    }
    for (const Value& value : effects.writes) {
      note(last_write_, value.buffer);
    }
    for (const BufferId buffer : effects.creates) {
      note(last_write_, buffer);
    }
  }

  const Profile& profile_;
  const std::vector<OpEffects>& effects_;
  std::vector<std::int32_t> last_op_;     // By buffer: the last one recorded that uses it.
  std::vector<Slot> slots_{};             // By op.
  std::vector<std::int32_t> last_write_;  // By buffer: the latest slot that made or wrote it.
  std::vector<std::int32_t> last_use_;    // By buffer: the latest slot that read or wrote it.
};

}  // namespace

std::vector<OpId> RecordedOrder(const Profile& profile) {
  std::vector<OpId> order{};
  for (std::size_t i = 0; i < profile.ops.size(); ++i) {
    order.push_back(OpId{static_cast<std::int32_t>(i)});
  }
  return order;
}

std::vector<OpId> EarlyUpdateOrder(const Profile& profile, const std::vector<OpEffects>& effects) {
  Slots slots(profile, effects);
  for (const Phase& phase : profile.phases) {
    slots.Give(phase);
  }
  std::vector<OpId> order = RecordedOrder(profile);
  std::sort(order.begin(), order.end(), [&](OpId a, OpId b) {
    return std::tuple(slots.Of(a).after, slots.Of(a).is_update, a) <
           std::tuple(slots.Of(b).after, slots.Of(b).is_update, b);
  });
  return order;
}

}  // namespace stint
