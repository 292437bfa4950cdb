#include "planner/skyline.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace stint {
namespace {

/// Between those of `bucket`, by ascending offset, that are `in_the_way`.
template <typename Placed, typename InTheWay>
std::int64_t FitAmong(const std::vector<Placed>& bucket, std::int64_t size_bytes, FitRule rule,
                      InTheWay in_the_way) {
  std::int64_t floor_bytes = 0;  // All below is taken, or too small a gap.
  std::int64_t best_offset_bytes = -1;
  std::int64_t best_gap_bytes = std::numeric_limits<std::int64_t>::max();
  for (const Placed& placed : bucket) {
    if (!in_the_way(placed)) {
      continue;
    }
    const std::int64_t gap_bytes = placed.offset_bytes - floor_bytes;
    if (gap_bytes >= size_bytes && gap_bytes < best_gap_bytes) {
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

}  // namespace

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

const std::vector<Skyline::Placed>& Skyline::BucketOf(std::int32_t begin, std::int32_t end) const {
  const std::vector<Placed>* bucket = &levels_.front().buckets.front();
  for (const Level& level : levels_) {
    const std::int32_t index = begin >> level.shift;
    if (index == (end - 1) >> level.shift) {
      bucket = &level.buckets[static_cast<std::size_t>(index)];
    }
  }
  return *bucket;
}

std::int64_t Skyline::Find(const Block& block, FitRule rule) const {
  return FitAmong(
      BucketOf(block.begin, block.end), block.size_bytes, rule,
      [&](const auto& placed) { return placed.begin < block.end && block.begin < placed.end; });
}

std::int64_t Skyline::FindForBoth(const Block& first, const Block& second, FitRule rule) const {
  return FitAmong(BucketOf(first.begin, second.end), first.size_bytes, rule,
                  [&](const auto& placed) {
                    return (placed.begin < first.end && first.begin < placed.end) ||
                           (placed.begin < second.end && second.begin < placed.end);
                  });
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
