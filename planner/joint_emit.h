// Writes a joint plan down as instructions, without addresses.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/plan.h"
#include "planner/joint_sequence.h"
#include "planner/joint_timing.h"

namespace stint {

/// A run of instructions after which all streams join.
struct PagedPart {
  std::size_t end = 0;  // One past its last instruction.
  std::int64_t repeat_count = 1;
};

/// Instructions of all phases, one repetition of each body, and what moves in them.
struct PagedSchedule {
  std::vector<Instruction> instructions{};
  // By instruction. Of an offload: the instruction before which its copy is expected to be over.
  std::vector<std::int32_t> gone_by{};
  std::vector<PagedPart> parts{};         // Prologue, body and epilogue of each phase.
  std::vector<BufferId> initial{};        // Resident at the start, outside shards; ascending.
  std::vector<ShardId> initial_shards{};  // Resident at the start, as a whole.
  std::vector<Shard> shards{};            // Those that move.
  std::vector<Placement> host{};          // Of values that move, by ascending buffer.
  std::int64_t host_bytes = 0;            //
};

/// A phase that has been decided.
struct JointPhase {
  const PagedProgram& program;
  const JointSequence& sequence;
  const JointTimes& times;
};

/// O(runs + moves + n log n).
PagedSchedule EmitJoint(const Profile& profile, const ShardTable& table,
                        const std::vector<JointPhase>& phases);

}  // namespace stint
