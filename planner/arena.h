// From a schedule to addresses: what lives when, packed, and written back into the instructions.
//
//     instruction     compute A -> a         free b   compute B ...
//     tick            | r0 | r1 | r2 |                | r0 | ...        one for each request
//     block of a           |----------------- until freed -----
//     block of r0     |---------|                     dies after request r1
#pragma once

#include <cstdint>
#include <vector>

#include "ir/plan.h"
#include "ir/profile.h"
#include "planner/packing.h"
#include "planner/program.h"
#include "planner/solver.h"

namespace stint {

struct Arena {
  std::vector<Placement> initial{};  // Of the persistent buffers, ascending.
  std::int64_t arena_bytes = 0;      // Height.
  std::int64_t peak_bytes = 0;       // Load: no placement is lower.
};

/// Fills the request offsets of `schedule`, which only computes and frees. A residence that crosses
/// a repeated body keeps one place, since it is one block. Deterministic as Pack is.
Arena PlaceInArena(const Profile& profile, const Program& program, Schedule& schedule,
                   const PackingOptions& options = {});

/// What lives when in `schedule`, which only computes and frees: the blocks that PlaceInArena
/// packs, in ticks.
std::vector<Block> BlocksOfSchedule(const Profile& profile, const Program& program,
                                    Schedule schedule);

}  // namespace stint
