// The fastest schedule of a tiny profile, by trying everything: the judge of solvers and bounds.
#pragma once

#include <cstdint>
#include <optional>

#include "ir/profile.h"

namespace stint {

/// The least duration of any schedule of class "updates-movable" that fits `budget_bytes`; empty
/// if none does. For profiles of one phase that is not repeated, with up to 8 ops: a shortest path
/// through all states (which ops ran, version of each buffer in memory).
std::optional<std::int64_t> FastestDurationNs(const Profile& profile, std::int64_t budget_bytes);

}  // namespace stint
