// One phase as the joint planner sees it: ops in the order in which they first run, and items,
// which are what is kept, moved or made again as one.
//
//     item       what it is                              absent from the device
//     value      an activation, made by an op            dropped and made again, or offloaded
//     shard      persistent buffers used together        offloaded (dropped if the host has it)
//
// An item's way through the iteration is cut by the turn, the step where most is needed at once
// (in training, where backward begins). Where the phase is the whole iteration, it is a cycle: a
// shard may be on the device when one iteration ends and the next begins. Where there are several
// phases, shards are on the host before and after each; one of a phase that repeats may stay on the
// device from its prologue to its epilogue. Sizes are in units of 512 bytes. Refuses to know: when
// anything is moved.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "ir/ids.h"
#include "planner/program.h"
#include "planner/solver.h"

namespace stint {

struct JointItem {
  std::vector<BufferId> members{};     // A shard's lie one after another in this order.
  std::int32_t units = 0;              //
  std::int64_t to_host_ns = 0;         // Of a copy while another goes the other way.
  std::int64_t to_device_ns = 0;       //
  bool is_shard = false;               //
  bool can_move = false;               // Large enough to be copied.
  bool can_drop = false;               // A pure op makes it, and nothing writes it.
  std::int32_t creator = kNoOp;        // Step; kNoOp for shards.
  std::vector<std::int32_t> uses{};    // Steps that read or write it, ascending.
  std::vector<std::int32_t> writes{};  // Steps that write it in place, ascending.
  std::int32_t drop_after = kNoOp;     // The step (creator or use) before the longest time
                                       // without a use; what is dropped ends after it.
  bool stays = false;                  // Resident at the end: an output, or used later.
  bool begins_away = false;            // A shard that is on the host before and after the phase.
};

struct PagedOp {
  OpId id{};                      //
  std::int64_t duration_ns = 0;   //
  std::int32_t script_units = 0;  // Peak of its requests, outputs included.
  std::int32_t again_until = -1;  // The last step before which it may run again; -1: never.
};

struct PagedProgram {
  std::vector<JointItem> items{};
  std::vector<PagedOp> ops{};             // By step.
  std::vector<std::int64_t> begin_ns{};   // By step, and the end: with every op once.
  std::int32_t pinned_units = 0;          // What is resident all the time: persistent buffers that
                                          // never move, values of earlier phases.
  std::vector<BufferId> dying{};          // Values of earlier phases that nobody uses later.
  bool is_cycle = true;                   // The only phase, run once.
  std::int32_t turn = 0;                  // Step.
  std::vector<std::int32_t> read_ends{};  // By step: where its part of `reads` ends.
  std::vector<std::int32_t> reads{};      // Items it reads or writes.
  std::vector<std::int32_t> make_ends{};
  std::vector<std::int32_t> makes{};  // Items it makes.

  std::span<const std::int32_t> ReadsOf(std::int32_t step) const {
    return Part(reads, read_ends, step);
  }
  std::span<const std::int32_t> MadeBy(std::int32_t step) const {
    return Part(makes, make_ends, step);
  }

 private:
  static std::span<const std::int32_t> Part(const std::vector<std::int32_t>& all,
                                            const std::vector<std::int32_t>& ends,
                                            std::int32_t step) {
    const auto index = static_cast<std::size_t>(step);
    const std::int32_t begin = step == 0 ? 0 : ends[index - 1];
    return {all.data() + begin, static_cast<std::size_t>(ends[index] - begin)};
  }
};

/// Whether a drop of `item` would free it while the turn's op runs.
inline bool CrossesTurn(const PagedProgram& program, const JointItem& item) {
  return item.can_drop && item.drop_after < program.turn && item.uses.back() >= program.turn;
}

struct JointRules {
  std::int64_t shard_bytes = std::int64_t{12} << 20;      // A shard is closed once it has so many.
  std::int64_t least_copy_bytes = std::int64_t{4} << 20;  // Of a value; smaller ones never move.
  bool moves_shards = true;  // False: persistent buffers stay on the device.
  /// All that can move takes at most so much of the host, so that whatever is decided fits;
  /// nothing: any amount. What moves is then chosen here: moments and averages, which a step needs
  /// only once, before weights, and these before values.
  std::optional<std::int64_t> host_bytes{};
};

/// How persistent buffers move, in all phases alike.
struct ShardTable {
  std::vector<std::vector<BufferId>> shards{};  // Their members in the order of their places.
  std::vector<BufferId> pinned{};               // Buffers that never move, ascending.
};

/// Shards hold buffers of one role, weights in the order of their first uses, moments in the order
/// of their updates. Pinned are inputs, which the caller writes, workspaces, what nobody uses, and
/// what a phase that repeats writes; so are those that the host has no room for. O(arguments + n
/// log n).
ShardTable MakeShards(const Problem& problem, const Program& program, const JointRules& rules);

/// One phase of `problem`, its ops as `program` orders them. O(arguments + n log n).
PagedProgram MakePagedProgram(const Problem& problem, const Program& program,
                              const JointRules& rules, const ShardTable& table, std::size_t phase);

}  // namespace stint
