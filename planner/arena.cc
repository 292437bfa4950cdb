#include "planner/arena.h"

#include <algorithm>

#include "ir/errors.h"
#include "ir/units.h"

namespace stint {
namespace {

/// Makes the blocks of a schedule in time order, and remembers whose offset each one is.
class BlockBuilder {
 public:
  BlockBuilder(const Profile& profile, const Program& program)
      : profile_(profile), residence_(program.buffers.size(), kNoBlock) {
    for (const BufferId buffer : program.persistent) {
      Open(buffer, profile.buffers[Index(buffer)].size_bytes, nullptr);
    }
  }

  void Add(std::vector<Instruction>& instructions) {
    for (Instruction& instruction : instructions) {
      if (instruction.kind == InstructionKind::kCompute) {
        AddCompute(instruction);
      } else {
        Check(instruction.kind == InstructionKind::kFree, "schedules here only compute and free");
        Close(*instruction.buffer);
      }
    }
  }

  /// Ends what is resident still. Nothing may be added afterwards.
  const std::vector<Block>& Finish() {
    for (std::size_t i = 0; i < residence_.size(); ++i) {
      Close(BufferId{static_cast<std::int32_t>(i)});
    }
    return blocks_;
  }

  /// Packs, and hands out the offsets.
  Arena Place(const Program& program, const PackingOptions& options) {
    Finish();
    const Packing packing = Pack(blocks_, options);
    Arena arena{.arena_bytes = packing.height_bytes, .peak_bytes = packing.load_bytes};
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      if (targets_[i] != nullptr) {
        *targets_[i] = packing.offsets[i];
      }
    }
    std::size_t next_block = 0;  // Those of persistent buffers come first, in their order.
    for (const BufferId buffer : program.persistent) {
      const bool has_block = profile_.buffers[Index(buffer)].size_bytes > 0;
      arena.initial.push_back(
          {.buffer = buffer, .offset_bytes = has_block ? packing.offsets[next_block++] : 0});
    }
    return arena;
  }

 private:
  static constexpr std::size_t kNoBlock = static_cast<std::size_t>(-1);

  void AddCompute(Instruction& instruction) {
    const std::vector<Request>& requests = profile_.ops[Index(instruction.op)].requests;
    instruction.request_offsets.assign(requests.size(), 0);
    const std::int32_t begin = tick_;
    const std::int32_t end =
        begin + std::max<std::int32_t>(1, static_cast<std::int32_t>(requests.size()));
    for (std::size_t i = 0; i < requests.size(); ++i) {
      tick_ = begin + static_cast<std::int32_t>(i);
      const Request& request = requests[i];
      std::int64_t* target = &instruction.request_offsets[i];
      if (!request.buffer) {
        AddBlock(request.size_bytes, begin + request.freed_after_request + 1, target);
      } else if (std::binary_search(instruction.discards.begin(), instruction.discards.end(),
                                    *request.buffer)) {
        AddBlock(request.size_bytes, end, target);
      } else {
        Open(*request.buffer, request.size_bytes, target);
      }
    }
    tick_ = end;
  }

  void AddBlock(std::int64_t size_bytes, std::int32_t end, std::int64_t* target) {
    blocks_.push_back({.size_bytes = AlignUp(size_bytes), .begin = tick_, .end = end});
    targets_.push_back(target);
  }

  void Open(BufferId buffer, std::int64_t size_bytes, std::int64_t* target) {
    if (size_bytes > 0) {
      residence_[Index(buffer)] = blocks_.size();
      AddBlock(size_bytes, tick_ + 1, target);
    }
  }

  /// Does nothing for empty buffers, which take no place.
  void Close(BufferId buffer) {
    std::size_t& block = residence_[Index(buffer)];
    if (block != kNoBlock) {
      blocks_[block].end = std::max(tick_, blocks_[block].begin + 1);
      block = kNoBlock;
    }
  }

  const Profile& profile_;
  std::vector<std::size_t> residence_{};  // By buffer: its block while it is resident.
  std::vector<Block> blocks_{};
  std::vector<std::int64_t*> targets_{};  // By block: where its offset is written; null for initial
                                          // residences.
  std::int32_t tick_ = 0;
};

}  // namespace

Arena PlaceInArena(const Profile& profile, const Program& program, Schedule& schedule,
                   const PackingOptions& options) {
  BlockBuilder builder(profile, program);
  for (PhasePlan& phase : schedule.phases) {
    builder.Add(phase.prologue);
    builder.Add(phase.body);
    builder.Add(phase.epilogue);
  }
  return builder.Place(program, options);
}

std::vector<Block> BlocksOfSchedule(const Profile& profile, const Program& program,
                                    Schedule schedule) {
  BlockBuilder builder(profile, program);
  for (PhasePlan& phase : schedule.phases) {
    builder.Add(phase.prologue);
    builder.Add(phase.body);
    builder.Add(phase.epilogue);
  }
  return builder.Finish();
}

}  // namespace stint
