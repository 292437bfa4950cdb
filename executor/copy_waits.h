// Who waits for whom when a plan's copies run beside its compute. Derived from the instructions
// alone, in one place; nobody writes a wait by hand.
//
//     compute      op 0 | op 1 | free a |   op 3 (reads b)  |
//     to device                | fetch b -> where a lay |
//     waits                    ^ for the free            ^ op 3 for the fetch
//
// The reasons to wait, each for the last piece of work it concerns:
//
//     a compute   for the fetch of what it reads or writes; for the copies that still use a place
//                 where it makes a request
//     a free or   for a copy that still uses the place, so that the place is nobody's afterwards
//     a drop
//     an offload  for the compute before it, which at the latest made the value; for the buffer's
//                 fetch, which reads the place on the host and fills the one in the arena
//     a fetch     for the compute before it, which at the latest used the place; for the buffer's
//                 offload, which fills the place on the host; for offloads that still read where it
//                 writes
//
// The streams join at the end of each part (prologue, a repetition of the body, epilogue), so waits
// concern one part only. Refuses to know: devices, LibTorch, time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ir/plan.h"
#include "ir/profile.h"
#include "ir/stream.h"

namespace stint {

/// The first `count` pieces of work of another stream, in the same part, must be done.
struct Wait {
  Stream stream{};
  std::int32_t count = 0;       // > 0.
  std::size_t instruction = 0;  // The last of those pieces.
};

/// What one instruction is to the streams.
struct InstructionWaits {
  Stream stream{};                // Its work is one piece of this stream's.
  std::int32_t count = 0;         // Pieces of the stream that are done when it is.
  bool is_awaited = false;        // Whether a wait names this count.
  std::int64_t offset_bytes = 0;  // Of a copy: where in the arena it reads or writes.
  std::vector<Wait> waits{};      // Before it begins; none that the others or earlier ones imply.
};

struct PartWaits {
  std::vector<InstructionWaits> instructions{};
  bool has_copies = false;
};

/// The waits of prologue, body and epilogue of each phase, in this order. `plan` must have passed
/// CheckPlan. O(instructions + requests * copies under way); deterministic.
std::vector<PartWaits> DeriveWaits(const Profile& profile, const Plan& plan);

}  // namespace stint
