// A training step by windows: what the relaxation of planner/joint_lp.h knows of ops and buffers.
//
//     place    0      ...     cut 1     ...     cut 2      ...       end
//     window   |----- 0 ------|------- 1 -------|------- 2 ----------|
//     buffer   created        held by cut 1     used in 2
//
// Persistent buffers with the same uses by window are one. Windows are bits of a mask. Refuses to
// know: rows, columns, solvers.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/effects.h"
#include "ir/profile.h"

namespace stint {

enum class UpdateOrder : std::uint8_t {
  kRecorded,  // Where they were recorded.
  kAtOnce,    // Each as early as it can run (planner/early_updates.h).
  kMovable,   // Anywhere from there to the end of its phase.
};

using WindowMask = std::uint64_t;
inline constexpr std::int32_t kMostWindows = 63;

struct JointBuffer {
  BufferId id{};                    // Of the first of its members.
  bool is_persistent = false;       //
  std::int32_t creator = -1;        // Place; -1: holds a value all the time.
  std::int32_t first_write = 0;     // Place of the first op that overwrites it; op_count: none.
  WindowMask used = 0;              // Windows in which it is used where it was recorded.
  WindowMask late = 0;              // In which a movable update can first use it.
  WindowMask written = 0;           //
  std::int32_t late_write = -1;     // The last window in which one can first write it.
  WindowMask held = 0;              // Cuts whose op uses it.
  std::int64_t blocks = 0;          // Of 512 bytes, all members together, as the next two.
  std::int64_t to_host_ns = 0;      //
  std::int64_t to_device_ns = 0;    //
  std::vector<BufferId> members{};  // Ascending.

  bool operator==(const JointBuffer&) const = default;
};

struct JointOp {
  OpId id{};                        //
  std::int64_t duration_ns = 0;     //
  std::int32_t window = 0;          // Of its first run.
  bool may_move = false;            // An update that may come later.
  bool can_run_again = false;       //
  std::int32_t lost_from = 0;       // Place of the first op after it that overwrites a
                                    // persistent buffer it reads; op_count: none.
  std::vector<Value> reads{};       //
  std::vector<BufferId> creates{};  //
};

struct JointProgram {
  UpdateOrder updates{};                     //
  std::int64_t other_way_permille = 0;       // As in ir/copy_floor.h.
  std::vector<OpId> order{};                 // Of first runs.
  std::vector<std::int32_t> cuts{};          // Places, ascending; the first is 0.
  std::vector<JointOp> ops{};                // By place.
  std::vector<JointBuffer> buffers{};        // Movable ones; alike persistent ones are one.
  std::vector<std::int32_t> buffer_of{};     // By BufferId: index into `buffers`; -1: not movable.
  std::vector<std::int64_t> taken_blocks{};  // By window: by its cut's requests, and by libraries.
  std::vector<std::int64_t> window_ns{};     // First runs of ops that do not move.
  std::vector<std::int64_t> late_ns{};       // Of movable updates that can first run in it.

  std::int32_t window_count() const { return static_cast<std::int32_t>(cuts.size()); }
};

/// Whether all phases run once, there are ops, the first of them makes something, and copies were
/// measured: else there are no windows.
bool HasJointProgram(const Profile& profile, const std::vector<OpEffects>& effects);

/// The order of first runs.
std::vector<OpId> JointOrder(const Profile& profile, const std::vector<OpEffects>& effects,
                             UpdateOrder updates);

/// Places to cut at: 0, and in each of `forward_count` - 1 windows of equal time before the op
/// where most activations live if all are kept, and of `backward_count` windows from there on, the
/// op that needs most bytes to run; without updates that op, too. `backward_count` may be 0.
/// Ascending.
std::vector<std::int32_t> ChooseCuts(const Profile& profile, const std::vector<OpEffects>& effects,
                                     UpdateOrder updates, int forward_count, int backward_count);

/// `largest_copy_bytes` and `other_way_permille` as in ir/copy_floor.h. O(arguments + n log n).
JointProgram MakeJointProgram(const Profile& profile, const std::vector<OpEffects>& effects,
                              UpdateOrder updates, const std::vector<std::int32_t>& cuts,
                              std::int64_t largest_copy_bytes, std::int64_t other_way_permille);

}  // namespace stint
