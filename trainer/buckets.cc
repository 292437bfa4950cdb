#include "trainer/buckets.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "ir/errors.h"

namespace stint {
namespace {

constexpr std::int64_t kMostRatio = 2;

/// How far two shapes are from each other: the larger ratio over the smaller, as a fraction.
struct Distance {
  std::int64_t above = 1;
  std::int64_t below = 1;

  bool operator<(const Distance& other) const { return above * other.below < other.above * below; }
};

/// Of edges below 2^15, numbers are below 2^30, and products of two below 2^60.
Distance DistanceOf(const ImageSize& a, const ImageSize& b) {
  const std::int64_t one = a.width_px * b.height_px;
  const std::int64_t other = b.width_px * a.height_px;
  return {.above = std::max(one, other), .below = std::min(one, other)};
}

}  // namespace

std::string NameOf(const ImageSize& size) {
  return fmt::format("{}x{}", size.width_px, size.height_px);
}

std::vector<ImageSize> MakeBuckets(const ImageSize& most, std::int64_t step_px) {
  Check(step_px > 0, "buckets have a step");
  const std::int64_t area_px = most.width_px * most.height_px;
  std::vector<std::pair<std::int64_t, std::int64_t>> sizes;
  for (std::int64_t px = step_px; px * step_px <= area_px; px += step_px) {
    const std::int64_t other_px = area_px / px / step_px * step_px;
    if (px > kMostRatio * other_px || other_px > kMostRatio * px) continue;
    sizes.emplace_back(px, other_px);
    sizes.emplace_back(other_px, px);
  }
  std::ranges::sort(sizes);
  const auto repeated = std::ranges::unique(sizes);
  sizes.erase(repeated.begin(), repeated.end());
  std::vector<ImageSize> buckets;
  buckets.reserve(sizes.size());
  for (const auto& [width_px, height_px] : sizes) buckets.push_back({width_px, height_px});
  return buckets;
}

std::size_t NearestBucket(const std::vector<ImageSize>& buckets, const ImageSize& size) {
  const auto nearest =
      std::ranges::min_element(buckets, [&](const ImageSize& a, const ImageSize& b) {
        return DistanceOf(a, size) < DistanceOf(b, size);
      });
  Check(nearest != buckets.end(), "there is a bucket");
  return static_cast<std::size_t>(nearest - buckets.begin());
}

}  // namespace stint
