// Addresses for a schedule with copies that ends as it begins.
//
//     offset
//       ^ +----+                    +-----+     what is away in the middle has one place on both
//       | | s  |   +--a--+  +--b--+ |  s  |     sides, since the next iteration begins where this
//       | +----+---+-----+--+-----+-+-----+     one ends
//       | |            w                  |
//       +-+-------------------------------+--> instructions
//
// An offload's place is taken until its copy is expected to be over, so that nobody has to wait
// for it.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/plan.h"
#include "ir/profile.h"
#include "planner/joint_emit.h"

namespace stint {

struct PagedArena {
  std::vector<Placement> initial{};  // By ascending buffer, members of shards, too.
  std::int64_t arena_bytes = 0;      // Height.
  std::int64_t peak_bytes = 0;       // Most bytes live at once, from instruction to instruction.
};

/// Fills the offsets of `schedule`; stops looking for a lower arena at `enough_bytes`. Each
/// `variant` (0 and up) begins with another order and so finds other places, whose copies wait for
/// each other in another way. Deterministic, O(n * overlaps) for each of up to a thousand orders.
PagedArena PlacePaged(const Profile& profile, std::int64_t enough_bytes, std::size_t variant,
                      PagedSchedule& schedule);

}  // namespace stint
