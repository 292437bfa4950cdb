#include "planner/flat_program.h"

#include <algorithm>
#include <limits>

namespace stint {
namespace {

constexpr std::int64_t kUnitBytes = 512;
// Sums of all values and the largest script stay below this.
constexpr std::int64_t kUnitLimit = std::numeric_limits<std::int32_t>::max() / 2;

bool FitsUnits(const Program& program) {
  std::int64_t units = 0;
  for (const MovableBuffer& buffer : program.buffers) {
    units += buffer.residence_bytes / kUnitBytes;
    if (units > kUnitLimit) {
      return false;
    }
  }
  return std::all_of(program.ops.begin(), program.ops.end(), [&](const ProgramOp& op) {
    return units + op.script_peak_bytes / kUnitBytes <= kUnitLimit;
  });
}

}  // namespace

std::optional<FlatProgram> Flatten(const Profile& profile, const Program& program) {
  const bool repeats = std::any_of(profile.phases.begin(), profile.phases.end(),
                                   [](const Phase& phase) { return phase.repeat_count > 1; });
  if (repeats || !FitsUnits(program)) {
    return std::nullopt;
  }
  FlatProgram flat{.op_count = program.op_count};
  std::vector<std::int32_t> value_of(program.buffers.size(), -1);
  for (std::size_t i = 0; i < program.buffers.size(); ++i) {
    const MovableBuffer& buffer = program.buffers[i];
    if (buffer.creator == kNoOp) {
      continue;
    }
    value_of[i] = static_cast<std::int32_t>(flat.values.size());
    flat.values.push_back(
        {.buffer = BufferId{static_cast<std::int32_t>(i)},
         .creator = buffer.creator,
         .units = static_cast<std::int32_t>(buffer.residence_bytes / kUnitBytes),
         .made_until = buffer.writes.empty() ? program.op_count : buffer.writes.front()});
  }
  const auto close_op = [&] {
    flat.read_ends.push_back(static_cast<std::int32_t>(flat.reads.size()));
    flat.make_ends.push_back(static_cast<std::int32_t>(flat.makes.size()));
  };
  for (const ProgramOp& op : program.ops) {
    flat.ops.push_back(
        {.duration_ns = op.duration_ns,
         .script_units = static_cast<std::int32_t>(op.script_peak_bytes / kUnitBytes),
         .again_until = op.is_recomputable ? std::min(op.readable_until, program.op_count) : -1});
    for (const BufferId buffer : op.reads) {
      flat.reads.push_back(value_of[Index(buffer)]);
    }
    for (const BufferId buffer : op.creates) {
      if (value_of[Index(buffer)] >= 0) {
        flat.makes.push_back(value_of[Index(buffer)]);
      }
    }
    close_op();
  }
  flat.ops.push_back({});
  for (std::size_t i = 0; i < program.buffers.size(); ++i) {
    const std::vector<std::int32_t>& uses = program.buffers[i].uses;
    if (value_of[i] >= 0 && !uses.empty() && uses.back() == program.op_count) {
      flat.reads.push_back(value_of[i]);
    }
  }
  close_op();
  return flat;
}

}  // namespace stint
