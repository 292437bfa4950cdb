// What planners ask of a profile again and again, derived once: bytes as the arena counts them, the
// peak of each op's script, who creates, uses and overwrites each buffer.
//
//     step       0        1       2         3
//     op         0        1       3         2          3 is an update that comes early
//     b          creator  use     write     last use   uses: 1 2 3, writes: 2
//
// Time is counted in steps: places in the order in which planners visit the ops for the first time.
// Covers the buffers a plan that moves nothing to the host decides about, called movable here:
// neither persistent nor on the host. Persistent ones are resident all the time.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "ir/effects.h"
#include "ir/profile.h"

namespace stint {

/// A step after every op: "needed after the last op" for outputs is Program::op_count, never is
/// this.
inline constexpr std::int32_t kNever = std::numeric_limits<std::int32_t>::max();
/// In place of a step or an op index: there is no such op.
inline constexpr std::int32_t kNoOp = -1;

struct MovableBuffer {
  std::int64_t residence_bytes = 0;    // Rounded up to 512; 0 for persistent and host buffers, too.
  std::int32_t creator = kNoOp;        // Step; kNoOp if the buffer is not movable.
  std::vector<std::int32_t> uses{};    // Steps that read it or write it in place, ascending; ends
                                       // with op_count if it is an output that stays (one made by a
                                       // repeated phase does not).
  std::vector<std::int32_t> writes{};  // Steps that write it in place, ascending.
};

struct ProgramOp {
  OpId id{};                             //
  std::int64_t script_peak_bytes = 0;    // Of its requests alone, outputs included.
  std::int64_t duration_ns = 0;          //
  std::int32_t phase = 0;                // Index into Profile::phases.
  std::vector<BufferId> reads{};         // Movable buffers it reads or writes in place, ascending.
  std::vector<BufferId> writes{};        // Those of them it writes.
  std::vector<BufferId> creates{};       // As OpEffects::creates.
  bool is_recomputable = false;          //
  std::int32_t readable_until = kNever;  // The first later step that overwrites a version it
                                         // read; running it again is right only before that.
  std::int32_t lost_at = kNever;  // The first later step that overwrites a version it read and that
                                  // no op can make again: written in place, or persistent.
};

struct Program {
  std::int32_t op_count = 0;             //
  std::int64_t persistent_bytes = 0;     // Resident all the time.
  std::vector<MovableBuffer> buffers{};  // One for each of the profile's.
  std::vector<ProgramOp> ops{};          // One for each of the profile's, by step.
  std::vector<BufferId> persistent{};    // On the device, ascending.
};

/// The program whose ops come in `order`, in which every op finds the versions it was recorded with
/// and stays in its phase (planner/early_updates.h). O(arguments + requests).
/// @throws InputError if a buffer outlives the repeated phase that creates it: its value would have
/// to be resident when the next repetition makes a new one.
Program MakeProgram(const Profile& profile, const std::vector<OpEffects>& effects,
                    const std::vector<OpId>& order);

/// The same in the recorded order.
Program MakeProgram(const Profile& profile, const std::vector<OpEffects>& effects);

/// By step of `program`: bytes that live, while its op runs, if everything is kept. O(buffers +
/// ops).
std::vector<std::int64_t> LiveBytes(const Program& program);

/// Whether `buffer` outlives the body of the phase with its last use, although nothing uses it
/// afterwards: it came from an earlier phase and the body repeats. Such buffers end in the
/// epilogue.
bool DiesInEpilogue(const Profile& profile, const Program& program, BufferId buffer);

}  // namespace stint
