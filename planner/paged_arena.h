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

#include <cstddef>
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

struct PagedArenaOptions {
  std::int64_t enough_bytes = 0;  // Stops looking for a lower arena than this.
  std::size_t variant = 0;        // Each begins with another order and so finds other places, whose
                                  // copies wait for each other in another way.
  // Placed blocks read before no other orders are tried: one or two seconds. Where most blocks live
  // long, each order costs a hundred times what it does else.
  std::int64_t read_limit = 600'000'000;
};

/// Fills the offsets of `schedule`. Deterministic, O(n * overlaps) for each of dozens of orders and
/// up to a thousand more.
PagedArena PlacePaged(const Profile& profile, const PagedArenaOptions& options,
                      PagedSchedule& schedule);

}  // namespace stint
