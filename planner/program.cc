#include "planner/program.h"

#include <algorithm>
#include <string>

#include "ir/errors.h"
#include "ir/units.h"
#include "planner/early_updates.h"

namespace stint {
namespace {

bool IsMovable(const Buffer& buffer) { return !buffer.is_persistent && !buffer.is_host; }

/// Most bytes of an op's own requests that live at once. Outputs live to its end, kept or not.
std::int64_t ScriptPeakBytes(const Op& op) {
  std::vector<std::int64_t> freed_bytes_after(op.requests.size(), 0);
  std::int64_t live_bytes = 0;
  std::int64_t peak_bytes = 0;
  for (std::size_t i = 0; i < op.requests.size(); ++i) {
    const Request& request = op.requests[i];
    const std::int64_t size_bytes = AlignUp(request.size_bytes);
    live_bytes += size_bytes;
    peak_bytes = std::max(peak_bytes, live_bytes);
    if (!request.buffer) {
      freed_bytes_after[static_cast<std::size_t>(request.freed_after_request)] += size_bytes;
    }
    live_bytes -= freed_bytes_after[i];
  }
  return peak_bytes;
}

bool IsMadeRepeatedly(const Profile& profile, const Program& program, const MovableBuffer& buffer) {
  const std::int32_t phase = program.ops[static_cast<std::size_t>(buffer.creator)].phase;
  return profile.phases[static_cast<std::size_t>(phase)].repeat_count > 1;
}

void CheckDiesWithItsPhase(const Profile& profile, const Program& program, std::size_t buffer) {
  const MovableBuffer& movable = program.buffers[buffer];
  if (movable.creator == kNoOp || movable.uses.empty() ||
      !IsMadeRepeatedly(profile, program, movable)) {
    return;
  }
  const std::int32_t phase = program.ops[static_cast<std::size_t>(movable.creator)].phase;
  const Phase& creating = profile.phases[static_cast<std::size_t>(phase)];
  if (movable.uses.back() >= static_cast<std::int32_t>(Index(creating.end))) {
    throw InputError("profile:/buffers/" + std::to_string(buffer),
                     "is created in the repeated phase \"" + creating.name +
                         "\" and needed after it; only buffers from before a repeated phase "
                         "outlive it");
  }
}

}  // namespace

Program MakeProgram(const Profile& profile, const std::vector<OpEffects>& effects,
                    const std::vector<OpId>& order) {
  Program program{.op_count = static_cast<std::int32_t>(profile.ops.size())};
  program.buffers.resize(profile.buffers.size());
  program.ops.resize(profile.ops.size());
  for (std::size_t i = 0; i < profile.buffers.size(); ++i) {
    const Buffer& buffer = profile.buffers[i];
    if (IsMovable(buffer)) {
      program.buffers[i].residence_bytes = AlignUp(buffer.size_bytes);
    } else if (!buffer.is_host) {
      program.persistent_bytes += AlignUp(buffer.size_bytes);
      program.persistent.push_back(BufferId{static_cast<std::int32_t>(i)});
    }
  }
  for (std::size_t p = 0; p < profile.phases.size(); ++p) {
    for (std::size_t i = Index(profile.phases[p].begin); i < Index(profile.phases[p].end); ++i) {
      program.ops[i].phase = static_cast<std::int32_t>(p);
    }
  }
  // Backwards, so that the next op that writes a buffer is known where it is read.
  std::vector<std::int32_t> next_write(profile.buffers.size(), kNever);
  for (std::size_t i = profile.ops.size(); i-- > 0;) {
    ProgramOp& op = program.ops[i];
    op.id = order[i];
    const Op& recorded = profile.ops[Index(op.id)];
    const OpEffects& effect = effects[Index(op.id)];
    op.script_peak_bytes = ScriptPeakBytes(recorded);
    op.duration_ns = recorded.duration_ns;
    op.is_recomputable = effect.is_recomputable;
    op.creates = effect.creates;
    for (const Value& value : effect.reads) {
      op.readable_until = std::min(op.readable_until, next_write[Index(value.buffer)]);
      const bool is_movable = IsMovable(profile.buffers[Index(value.buffer)]);
      if (is_movable) {
        op.reads.push_back(value.buffer);
      }
      if (!is_movable || value.version > 0) {
        op.lost_at = std::min(op.lost_at, next_write[Index(value.buffer)]);
      }
    }
    for (const Value& value : effect.writes) {
      next_write[Index(value.buffer)] = static_cast<std::int32_t>(i);
      if (IsMovable(profile.buffers[Index(value.buffer)])) {
        op.writes.push_back(value.buffer);
      }
    }
  }
  for (std::int32_t i = 0; i < program.op_count; ++i) {
    const ProgramOp& op = program.ops[static_cast<std::size_t>(i)];
    for (const BufferId buffer : op.creates) {
      program.buffers[Index(buffer)].creator = i;
    }
    for (const BufferId buffer : op.reads) {
      program.buffers[Index(buffer)].uses.push_back(i);
    }
    for (const BufferId buffer : op.writes) {
      program.buffers[Index(buffer)].writes.push_back(i);
    }
  }
  for (std::size_t i = 0; i < profile.buffers.size(); ++i) {
    MovableBuffer& buffer = program.buffers[i];
    if (buffer.creator != kNoOp && profile.buffers[i].role == BufferRole::kOutput &&
        !IsMadeRepeatedly(profile, program, buffer)) {
      buffer.uses.push_back(program.op_count);
    }
    CheckDiesWithItsPhase(profile, program, i);
  }
  return program;
}

Program MakeProgram(const Profile& profile, const std::vector<OpEffects>& effects) {
  return MakeProgram(profile, effects, RecordedOrder(profile));
}

std::vector<std::int64_t> LiveBytes(const Program& program) {
  std::vector<std::int64_t> change(program.ops.size() + 2, 0);
  for (const MovableBuffer& buffer : program.buffers) {
    if (buffer.creator == kNoOp || buffer.uses.empty()) continue;
    change[static_cast<std::size_t>(buffer.creator) + 1] += buffer.residence_bytes;
    change[static_cast<std::size_t>(buffer.uses.back()) + 1] -= buffer.residence_bytes;
  }
  std::vector<std::int64_t> live_bytes(program.ops.size(), 0);
  std::int64_t resident_bytes = program.persistent_bytes;
  for (std::size_t step = 0; step < program.ops.size(); ++step) {
    resident_bytes += change[step];
    live_bytes[step] = resident_bytes + program.ops[step].script_peak_bytes;
  }
  return live_bytes;
}

bool DiesInEpilogue(const Profile& profile, const Program& program, BufferId buffer) {
  const MovableBuffer& movable = program.buffers[Index(buffer)];
  if (movable.uses.empty() || movable.uses.back() == program.op_count) {
    return false;
  }
  const std::int32_t last_phase = program.ops[static_cast<std::size_t>(movable.uses.back())].phase;
  return profile.phases[static_cast<std::size_t>(last_phase)].repeat_count > 1 &&
         program.ops[static_cast<std::size_t>(movable.creator)].phase != last_phase;
}

}  // namespace stint
