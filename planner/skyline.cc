#include "planner/skyline.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace stint {

Skyline::Skyline(std::int32_t end) {
  const std::int32_t top_shift =
      static_cast<std::int32_t>(std::bit_width(static_cast<std::uint32_t>(std::max(end, 1))));
  // 1, 16 and 256 buckets: finer ones would cost long blocks more than they save short ones.
  for (const std::int32_t finer : {0, 4, 8}) {
    const std::int32_t shift = std::max(top_shift - finer, 0);
    levels_.push_back({.shift = shift});
    levels_.back().buckets.resize((static_cast<std::size_t>(end) >> shift) + 1);
  }
}

std::int64_t Skyline::Find(const Block& block, FitRule rule) const {
  const std::vector<Placed>* bucket = &levels_.front().buckets.front();
  for (const Level& level : levels_) {
    const std::int32_t index = block.begin >> level.shift;
    if (index == (block.end - 1) >> level.shift) {
      bucket = &level.buckets[static_cast<std::size_t>(index)];
    }
  }
  std::int64_t floor_bytes = 0;  // All below is taken, or too small a gap.
  std::int64_t best_offset_bytes = -1;
  std::int64_t best_gap_bytes = std::numeric_limits<std::int64_t>::max();
  for (const Placed& placed : *bucket) {
    if (placed.end <= block.begin || block.end <= placed.begin) {
      continue;
    }
    const std::int64_t gap_bytes = placed.offset_bytes - floor_bytes;
    if (gap_bytes >= block.size_bytes && gap_bytes < best_gap_bytes) {
      if (rule == FitRule::kFirst) {
        return floor_bytes;
      }
      best_offset_bytes = floor_bytes;
      best_gap_bytes = gap_bytes;
    }
    floor_bytes = std::max(floor_bytes, placed.end_bytes);
  }
  return best_offset_bytes >= 0 ? best_offset_bytes : floor_bytes;
}

void Skyline::Add(const Block& block, std::int64_t offset_bytes) {
  const Placed placed{.offset_bytes = offset_bytes,
                      .end_bytes = offset_bytes + block.size_bytes,
                      .begin = block.begin,
                      .end = block.end};
  for (Level& level : levels_) {
    for (std::int32_t i = block.begin >> level.shift; i <= (block.end - 1) >> level.shift; ++i) {
      std::vector<Placed>& bucket = level.buckets[static_cast<std::size_t>(i)];
      bucket.insert(std::upper_bound(bucket.begin(), bucket.end(), placed,
                                     [](const Placed& a, const Placed& b) {
                                       return a.offset_bytes < b.offset_bytes;
                                     }),
                    placed);
    }
  }
}

}  // namespace stint
