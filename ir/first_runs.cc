#include "ir/first_runs.h"

#include <algorithm>
#include <tuple>

namespace stint {
namespace {

std::vector<bool> FindUpdates(const Profile& profile, const std::vector<OpEffects>& effects) {
  std::vector<std::int32_t> last_use(profile.buffers.size(), -1);
  for (std::size_t op = 0; op < effects.size(); ++op) {
    for (const Value& value : effects[op].reads) {
      last_use[Index(value.buffer)] = static_cast<std::int32_t>(op);
    }
  }
  std::vector<bool> is_update(effects.size(), false);
  for (std::size_t op = 0; op < effects.size(); ++op) {
    if (!effects[op].creates.empty() || profile.ops[op].random) continue;
    bool writes_state = false;
    bool writes_else = false;
    for (const BufferId id : profile.ops[op].writes) {
      const Buffer& buffer = profile.buffers[Index(id)];
      const bool is_dead_then = last_use[Index(id)] == static_cast<std::int32_t>(op) &&
                                buffer.role != BufferRole::kOutput;
      writes_state = writes_state || (buffer.is_persistent && !buffer.is_host);
      writes_else = writes_else || buffer.is_host || (!buffer.is_persistent && !is_dead_then);
    }
    is_update[op] = writes_state && !writes_else;
  }
  return is_update;
}

}  // namespace

FirstRuns FirstRunsOf(const Profile& profile, const std::vector<OpEffects>& effects,
                      UpdatePlace updates) {
  FirstRuns runs{.is_update = FindUpdates(profile, effects)};
  const std::size_t op_count = effects.size();
  std::vector<std::int32_t> after(op_count);  // By op: the op that it comes with or right after.
  std::vector<std::int32_t> last_change(profile.buffers.size(), -1);
  std::vector<std::int32_t> last_use(profile.buffers.size(), -1);
  for (const Phase& phase : profile.phases) {
    for (std::size_t op = Index(phase.begin); op < Index(phase.end); ++op) {
      if (phase.repeat_count > 1) runs.is_update[op] = false;  // It has to be over in its own turn.
      after[op] = static_cast<std::int32_t>(op);
      if (updates == UpdatePlace::kAtOnce && runs.is_update[op]) {
        after[op] = static_cast<std::int32_t>(Index(phase.begin)) - 1;
        for (const Value& value : effects[op].reads) {
          after[op] = std::max(after[op], last_change[Index(value.buffer)]);
        }
        for (const Value& value : effects[op].writes) {
          after[op] = std::max(after[op], last_use[Index(value.buffer)]);
        }
      }
      const auto raise = [&](std::vector<std::int32_t>& last, BufferId buffer) {
        last[Index(buffer)] = std::max(last[Index(buffer)], after[op]);
      };
      for (const Value& value : effects[op].reads) raise(last_use, value.buffer);
      for (const Value& value : effects[op].writes) raise(last_change, value.buffer);
      for (const BufferId buffer : effects[op].creates) raise(last_change, buffer);
    }
  }
  for (std::size_t op = 0; op < op_count; ++op) {
    runs.order.push_back(OpId{static_cast<std::int32_t>(op)});
  }
  const auto key = [&](OpId op) {
    const bool is_moved = after[Index(op)] != static_cast<std::int32_t>(Index(op));
    return std::tuple(after[Index(op)], is_moved, op);
  };
  std::sort(runs.order.begin(), runs.order.end(), [&](OpId a, OpId b) { return key(a) < key(b); });
  runs.place_of.resize(op_count);
  for (std::size_t place = 0; place < op_count; ++place) {
    runs.place_of[Index(runs.order[place])] = static_cast<std::int32_t>(place);
  }
  return runs;
}

}  // namespace stint
