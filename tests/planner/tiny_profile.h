// Programs small enough for brute force (tests/planner/brute_force.h).
#pragma once

#include <cstdint>

#include "ir/profile.h"

namespace stint {

/// One phase of up to 8 ops over up to 9 buffers, all of a few sizes; some ops write in place.
Profile TinyProfile(std::uint32_t seed);

}  // namespace stint
