// The blocks placed so far, asked again and again: where is room for another one?
//
// Time is cut into buckets at a few levels; each bucket lists the placed blocks that touch it by
// ascending offset. A query reads the finest bucket that holds its whole span, so that a short
// block reads only the blocks that live about then.
//
//     level 0   |-------------------------------|
//     level 1   |---|---|---|---|---|---|---|---|
//     level 2   ||||||||||||||||||||||||||||||||||
#pragma once

#include <cstdint>
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
  std::int64_t Find(const Block& block, FitRule rule) const;
  /// The same for two blocks of equal size, the first before the second, that get one offset.
  std::int64_t FindForBoth(const Block& first, const Block& second, FitRule rule) const;
  void Add(const Block& block, std::int64_t offset_bytes);

 private:
  struct Placed {
    std::int64_t offset_bytes = 0;
    std::int64_t end_bytes = 0;
    std::int32_t begin = 0;
    std::int32_t end = 0;
  };
  struct Level {
    std::int32_t shift = 0;  // A bucket spans 2^shift ticks.
    std::vector<std::vector<Placed>> buckets{};
  };

  const std::vector<Placed>& BucketOf(std::int32_t begin, std::int32_t end) const;

  std::vector<Level> levels_{};  // Coarse to fine; the first has one bucket.
};

}  // namespace stint
