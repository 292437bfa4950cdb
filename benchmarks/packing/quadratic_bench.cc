#include <algorithm>
#include <numeric>

#include "benchmarks/packing/packing.h"

namespace stint::bench {
namespace {

/// Largest first, each at the lowest place where it fits: the simplest planner of arenas, O(n^2).
std::vector<std::int64_t> FirstFitBySize(const std::vector<Block>& blocks) {
  std::vector<std::size_t> order(blocks.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
    return blocks[a].size_bytes > blocks[b].size_bytes;
  });
  std::vector<std::int64_t> offsets(blocks.size(), 0);
  std::vector<std::size_t> placed{};  // By offset.
  for (const std::size_t i : order) {
    std::int64_t offset_bytes = 0;
    for (const std::size_t j : placed) {
      if (blocks[i].begin < blocks[j].end && blocks[j].begin < blocks[i].end) {
        if (offset_bytes + blocks[i].size_bytes <= offsets[j]) {
          break;
        }
        offset_bytes = std::max(offset_bytes, offsets[j] + blocks[j].size_bytes);
      }
    }
    offsets[i] = offset_bytes;
    placed.insert(std::ranges::upper_bound(placed, offset_bytes, {},
                                           [&](std::size_t j) { return offsets[j]; }),
                  i);
  }
  return offsets;
}

[[maybe_unused]] const bool kIsRegistered =
    RegisterPacker("first_fit_by_size", FirstFitBySize, 100'000);

}  // namespace
}  // namespace stint::bench
