// The three streams that the work of a plan runs on. Work of one stream follows its order; between
// streams only what a plan implies is ordered.
#pragma once

#include <cstddef>
#include <cstdint>

namespace stint {

enum class Stream : std::uint8_t {
  kCompute,   // Ops, and the ends of residences.
  kToHost,    // Offloads.
  kToDevice,  // Fetches.
};
inline constexpr std::size_t kStreamCount = 3;

}  // namespace stint
