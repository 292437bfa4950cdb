#include "planner/skyline.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <span>

namespace stint {
namespace {

/// Between those of two lists, each by ascending offset, that are `in_the_way`; some may be in
/// both.
template <typename Placed, typename InTheWay>
std::int64_t FitAmong(const std::array<std::span<const Placed>, 2>& lists, std::int64_t size_bytes,
                      FitRule rule, InTheWay in_the_way) {
  std::int64_t floor_bytes = 0;  // All below is taken, or too small a gap.
  std::int64_t best_offset_bytes = -1;
  std::int64_t best_gap_bytes = std::numeric_limits<std::int64_t>::max();
  auto a = lists[0].begin();
  auto b = lists[1].begin();
  while (a != lists[0].end() || b != lists[1].end()) {
    const bool is_a =
        b == lists[1].end() || (a != lists[0].end() && a->offset_bytes <= b->offset_bytes);
    const Placed& placed = is_a ? *a++ : *b++;
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

std::array<Skyline::PlacedSpan, 2> Skyline::BucketsOf(std::int32_t begin, std::int32_t end) {
  const auto level = std::find_if(levels_.rbegin(), levels_.rend(), [&](const Level& finer) {
    return ((end - 1) >> finer.shift) - (begin >> finer.shift) <= 1;
  });
  Bucket& first = level->buckets[static_cast<std::size_t>(begin >> level->shift)];
  Bucket& second = level->buckets[static_cast<std::size_t>((end - 1) >> level->shift)];
  const std::array spans = {Ordered(first), &first == &second ? PlacedSpan{} : Ordered(second)};
  read_count_ += std::ssize(spans[0]) + std::ssize(spans[1]);
  return spans;
}

Skyline::PlacedSpan Skyline::Ordered(Bucket& bucket) {
  std::vector<Placed>& placed = bucket.placed;
  if (bucket.ordered_count < placed.size()) {
    const auto lower = [](const Placed& a, const Placed& b) {
      return a.offset_bytes < b.offset_bytes;
    };
    const auto middle = placed.begin() + static_cast<std::ptrdiff_t>(bucket.ordered_count);
    std::sort(middle, placed.end(), lower);
    std::inplace_merge(placed.begin(), middle, placed.end(), lower);
    bucket.ordered_count = placed.size();
  }
  return placed;
}

std::int64_t Skyline::Find(const Block& block, FitRule rule) {
  return FitAmong(BucketsOf(block.begin, block.end), block.size_bytes, rule,
                  [&](const Placed& placed) { return placed.Meets(block); });
}

std::int64_t Skyline::FindForBoth(const Block& first, const Block& second, FitRule rule) {
  return FitAmong(
      BucketsOf(first.begin, second.end), first.size_bytes, rule,
      [&](const Placed& placed) { return placed.Meets(first) || placed.Meets(second); });
}

void Skyline::Add(const Block& block, std::int64_t offset_bytes) {
  const Placed placed{.offset_bytes = offset_bytes,
                      .end_bytes = offset_bytes + block.size_bytes,
                      .begin = block.begin,
                      .end = block.end};
  for (Level& level : levels_) {
    for (std::int32_t i = block.begin >> level.shift; i <= (block.end - 1) >> level.shift; ++i) {
      level.buckets[static_cast<std::size_t>(i)].placed.push_back(placed);
    }
  }
}

void Skyline::Clear() {
  for (Level& level : levels_) {
    for (Bucket& bucket : level.buckets) {
      bucket.placed.clear();
      bucket.ordered_count = 0;
    }
  }
}

}  // namespace stint
