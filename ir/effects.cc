#include "ir/effects.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <variant>

#include "ir/errors.h"

namespace stint {
namespace {

constexpr std::int32_t kNoValue = -1;

std::vector<std::int32_t> VersionsAtStart(const Profile& profile) {
  std::vector<std::int32_t> versions;
  versions.reserve(profile.buffers.size());
  for (const Buffer& buffer : profile.buffers) {
    versions.push_back(buffer.is_persistent ? 0 : kNoValue);
  }
  return versions;
}

/// Whether plans decide where a buffer is: libraries and PyTorch itself hold the others.
bool IsPlanned(const Profile& profile, BufferId id) {
  const Buffer& buffer = profile.buffers[Index(id)];
  return !buffer.is_host && buffer.role != BufferRole::kWorkspace;
}

std::vector<BufferId> BuffersRead(const Profile& profile, const Op& op) {
  std::vector<BufferId> buffers;
  const auto add = [&](TensorId id) { buffers.push_back(profile.tensors[Index(id)].buffer); };
  for (const Argument& argument : op.arguments) {
    if (const auto* one = std::get_if<TensorArgument>(&argument)) {
      add(one->tensor);
    } else if (const auto* list = std::get_if<TensorListArgument>(&argument)) {
      for (const std::optional<TensorId>& id : list->tensors) {
        if (id) add(*id);
      }
    }
  }
  buffers.insert(buffers.end(), op.writes.begin(), op.writes.end());
  std::erase_if(buffers, [&](BufferId id) { return !IsPlanned(profile, id); });
  std::sort(buffers.begin(), buffers.end());
  buffers.erase(std::unique(buffers.begin(), buffers.end()), buffers.end());
  return buffers;
}

/// Buffers that `op` makes, host buffers too, where `versions` are those before it.
std::vector<BufferId> BuffersMade(const Profile& profile, const Op& op,
                                  const std::vector<std::int32_t>& versions) {
  std::vector<BufferId> buffers;
  for (const Request& request : op.requests) {
    if (request.buffer) buffers.push_back(*request.buffer);
  }
  for (const std::optional<TensorId>& output : op.outputs) {
    if (!output) continue;
    const BufferId id = profile.tensors[Index(*output)].buffer;
    const bool is_listed = std::find(buffers.begin(), buffers.end(), id) != buffers.end();
    if (versions[Index(id)] == kNoValue && !is_listed) buffers.push_back(id);
  }
  return buffers;
}

/// Moves `versions` from before `op` to after it.
void Apply(const Profile& profile, const Op& op, std::vector<std::int32_t>& versions) {
  for (const BufferId id : BuffersMade(profile, op, versions)) versions[Index(id)] = 0;
  for (const BufferId id : op.writes) ++versions[Index(id)];
}

}  // namespace

std::vector<OpEffects> DeriveEffects(const Profile& profile) {
  std::vector<std::int32_t> versions = VersionsAtStart(profile);
  std::vector<OpEffects> effects;
  effects.reserve(profile.ops.size());
  for (const Op& op : profile.ops) {
    OpEffects effect = {.is_recomputable = op.writes.empty() && !op.random.has_value()};
    for (const BufferId id : BuffersRead(profile, op)) {
      effect.reads.push_back({.buffer = id, .version = versions[Index(id)]});
    }
    effect.creates = BuffersMade(profile, op, versions);
    std::erase_if(effect.creates, [&](BufferId id) { return profile.buffers[Index(id)].is_host; });
    Apply(profile, op, versions);
    for (const BufferId id : op.writes) {
      if (!IsPlanned(profile, id)) continue;
      effect.writes.push_back({.buffer = id, .version = versions[Index(id)]});
    }
    effects.push_back(std::move(effect));
  }
  return effects;
}

std::vector<std::int32_t> VersionsAfter(const Profile& profile, PhaseId phase) {
  Check(Index(phase) < profile.phases.size(), "the phase is one of the profile");
  std::vector<std::int32_t> versions = VersionsAtStart(profile);
  for (std::size_t op = 0; op < Index(profile.phases[Index(phase)].end); ++op) {
    Apply(profile, profile.ops[op], versions);
  }
  return versions;
}

}  // namespace stint
