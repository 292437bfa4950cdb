// What no plan can beat: proved bounds on time and on memory for plans of class "recorded-order"
// (ops run first in the recorded order, any pure op may run again, nothing is moved to the host) or
// "updates-movable" (the same, but updates may come earlier; planner/early_updates.h).
#pragma once

#include <cstdint>
#include <string>

#include "ir/plan.h"
#include "ir/profile.h"
#include "planner/program.h"

namespace stint {

struct Bounds {
  std::int64_t duration_ns = 0;     // Every op runs at least once.
  std::int64_t budget_bytes = 0;    // When it first runs, the op of `binding_op` finds these live.
  std::int32_t binding_op = kNoOp;  // Op index; kNoOp if the profile has no ops.
  std::string binding{};            // The op and its largest buffers, in words.
  Certificate certificate{};        // Of duration_ns.
};

/// While an op runs for the first time, these are live: all persistent buffers, what it reads, its
/// own requests, and each value made before and needed later that can not be made again (drawn at
/// random, or written in place).
///
///     op            0        1        2        3
///     x = rand()    |------------------------use    cannot be made again: counts at 1 and 2
///     y = relu(x)            |use-----use           can: counts where it is read
///
/// The bounds hold for "updates-movable" where `program` has an op before one that was recorded
/// earlier. Other plans of that class run this op later, so it counts what it takes itself alone;
/// the values that only updates need are live in them at least as long as here.
///
/// O(arguments + n log n).
Bounds ProveBounds(const Profile& profile, const Program& program);

/// The same and more for plans that have `budget_bytes`: the bound of the best cut, where that is
/// stronger (planner/peak_cut.h). `recorded` and `order` are `profile` in the recorded order and
/// with early updates. The certificate is of the larger class of the two.
Bounds ProveBoundsWithin(const Profile& profile, const Program& recorded, const Program& order,
                         std::int64_t budget_bytes);

}  // namespace stint
