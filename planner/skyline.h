// The blocks placed so far, asked again and again: where is room for another one?
//
// Time is cut into buckets at a few levels; each bucket lists the placed blocks that touch it by
// ascending offset. A query reads the one or two buckets that hold its whole span, of the finest
// level that has such, so that a short block reads only the blocks that live about then.
//
//     level 0   |-------------------------------|
//     level 1   |---|---|---|---|---|---|---|---|
//     level 2   ||||||||||||||||||||||||||||||||||
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "planner/packing.h"

namespace stint {

enum class FitRule : std::uint8_t {
  kFirst,  // The lowest gap that is large enough.
  kBest,   // The smallest such gap; the lowest of those.
};

class Skyline {
 public:
  /// For blocks within [0, end).
  explicit Skyline(std::int32_t end);

  /// The offset that `rule` gives to `block`; above all that it meets if no gap is large enough.
  std::int64_t Find(const Block& block, FitRule rule);
  /// The same for two blocks of equal size, the first before the second, that get one offset.
  std::int64_t FindForBoth(const Block& first, const Block& second, FitRule rule);
  void Add(const Block& block, std::int64_t offset_bytes);
  /// Takes all blocks off.
  void Clear();

  /// Placed blocks read by all queries so far: a measure of work.
  std::int64_t read_count() const { return read_count_; }

 private:
  struct Placed {
    std::int64_t offset_bytes = 0;
    std::int64_t end_bytes = 0;
    std::int32_t begin = 0;
    std::int32_t end = 0;

    bool Meets(const Block& block) const { return begin < block.end && block.begin < end; }
  };
  // Most blocks are added to large buckets that are read seldom: they are put in order then.
  struct Bucket {
    std::vector<Placed> placed{};
    std::size_t ordered_count = 0;  // Those by ascending offset; the others follow as they came.
  };
  struct Level {
    std::int32_t shift = 0;  // A bucket spans 2^shift ticks.
    std::vector<Bucket> buckets{};
  };

  using PlacedSpan = std::span<const Placed>;

  /// Those that hold [begin, end) together; the second may be empty.
  std::array<PlacedSpan, 2> BucketsOf(std::int32_t begin, std::int32_t end);
  static PlacedSpan Ordered(Bucket& bucket);

  std::vector<Level> levels_{};  // Coarse to fine; the first has one bucket.
  std::int64_t read_count_ = 0;
};

}  // namespace stint
