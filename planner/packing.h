// Addresses: places blocks that live for a while so that no two overlap in space and time. The
// height is at least the load, the most bytes alive at once; the packer says how close it came.
//
//     offset
//       ^   +-----b-----+
//       |   +--+--------+--+
//       |   |a |  |    c   |      height = highest end
//       +---+--+--+--------+--> time
#pragma once

#include <cstdint>
#include <vector>

namespace stint {

/// One block to place.
struct Block {
  std::int64_t size_bytes = 0;  // > 0; a multiple of 512.
  std::int32_t begin = 0;       // Lives during [begin, end).
  std::int32_t end = 0;         // > begin.
};

struct Packing {
  std::vector<std::int64_t> offsets{};  // One for each block; multiples of 512.
  std::int64_t height_bytes = 0;        // Highest end.
  std::int64_t load_bytes = 0;          // No packing is lower: the most bytes alive at once.
};

/// Places `blocks` by a portfolio of greedy orders, in O(n log n) to O(n * overlaps) each, then by
/// the best of them with blocks that stick out first, and returns the lowest; stops early when
/// height equals load. Deterministic.
Packing Pack(const std::vector<Block>& blocks);

}  // namespace stint
