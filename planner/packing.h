// Addresses: places blocks that live for a while so that no two overlap in space and time. The
// height is at least the load, the most bytes alive at once; the packer says how close it came.
//
//     offset
//       ^   +-----b-----+
//       |   +--+--------+--+
//       |   |a |  |    c   |      height = highest end
//       +---+--+--+--------+--> time
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

namespace stint {

/// One block to place.
struct Block {
  std::int64_t size_bytes = 0;  // > 0.
  std::int32_t begin = 0;       // Lives during [begin, end); >= 0.
  std::int32_t end = 0;         // > begin.
};

struct Packing {
  std::vector<std::int64_t> offsets{};  // One for each block; multiples of what all sizes are
                                        // multiples of.
  std::int64_t height_bytes = 0;        // Highest end.
  std::int64_t load_bytes = 0;          // No packing is lower: the most bytes alive at once.
  std::int64_t lower_bound_bytes = 0;   // No packing is lower: the load, or more if a search found
                                        // that less cannot be.
};

struct PackingOptions {
  std::int64_t goal_bytes = 0;              // A packing so low will do, and nothing lower is tried;
                                            // 0: as low as can be.
  std::int64_t step_limit = 100'000'000;    // For the search: about a second of two cores.
  double time_limit_s = 60;                 // Wall clock.
  const std::atomic<bool>* stop = nullptr;  // Set by Ctrl-C: return the best so far. May be null.
  std::int32_t thread_count = 0;            // 0: as many as there are cores.
};

/// Places `blocks` by a portfolio of greedy orders, in O(n log n) to O(n * overlaps) each; if all
/// are higher than the load, searches for a packing at the load (planner/packing_race.h), and if
/// that ends without one, at heights in between. Deterministic, whatever the number of threads,
/// unless time or `stop` ends it. The sizes of all blocks together are below 2^62.
Packing Pack(const std::vector<Block>& blocks, const PackingOptions& options = {});

}  // namespace stint
