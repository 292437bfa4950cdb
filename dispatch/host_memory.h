// What the host has to spare: memory that is pinned cannot be swapped out, so asking for more than
// there is ends processes instead of failing.
#pragma once

#include <cstdint>

namespace stint {

/// Bytes that can be taken without pushing others out, within the limit of the control group.
std::int64_t AvailableHostBytes();

/// @throws InputError naming the host if it cannot spare `size_bytes`.
void CheckHostHas(std::int64_t size_bytes);

}  // namespace stint
