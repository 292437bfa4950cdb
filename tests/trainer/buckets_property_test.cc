// What buckets owe to every size and step, and where they take every picture.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "trainer/buckets.h"

namespace stint {
namespace {

class BucketsProperty : public ::testing::TestWithParam<std::uint32_t> {
 protected:
  std::int64_t Draw(std::int64_t most) { return static_cast<std::int64_t>(numbers_()) % most + 1; }
  double Shape(const ImageSize& size) const {
    return std::log(static_cast<double>(size.width_px) / static_cast<double>(size.height_px));
  }

  std::mt19937 numbers_{GetParam()};
  const std::int64_t step_px_ = 8 * Draw(16);
  const ImageSize most_ = {.width_px = step_px_ * Draw(24), .height_px = step_px_ * Draw(24)};
  const std::vector<ImageSize> buckets_ = MakeBuckets(most_, step_px_);
};

TEST_P(BucketsProperty, AreWithinAreaAndShapeAndCannotGrowInBothDirections) {
  ASSERT_FALSE(buckets_.empty());
  const std::int64_t area_px = most_.width_px * most_.height_px;
  for (const ImageSize& bucket : buckets_) {
    EXPECT_EQ(bucket.width_px % step_px_ + bucket.height_px % step_px_, 0);
    EXPECT_LE(bucket.width_px * bucket.height_px, area_px);
    EXPECT_LE(bucket.width_px, 2 * bucket.height_px);
    EXPECT_LE(bucket.height_px, 2 * bucket.width_px);
    EXPECT_GT(std::max((bucket.width_px + step_px_) * bucket.height_px,
                       bucket.width_px * (bucket.height_px + step_px_)),
              area_px);
  }
}

TEST_P(BucketsProperty, AreSortedOnceEachAndAsManyUprightAsLying) {
  const auto less = [](const ImageSize& a, const ImageSize& b) {
    return std::pair(a.width_px, a.height_px) < std::pair(b.width_px, b.height_px);
  };
  EXPECT_EQ(std::ranges::adjacent_find(buckets_,
                                       [&](const auto& a, const auto& b) { return !less(a, b); }),
            buckets_.end());
  for (const ImageSize& bucket : buckets_) {
    EXPECT_TRUE(
        std::ranges::binary_search(buckets_, ImageSize{bucket.height_px, bucket.width_px}, less));
  }
}

TEST_P(BucketsProperty, AreTheLargestOfTheirWidthOrHeightAndNoneIsLeftOut) {
  // Every size of steps, tried one by one.
  const std::int64_t area_px = most_.width_px * most_.height_px;
  std::size_t count = 0;
  for (std::int64_t width_px = step_px_; width_px <= 64 * step_px_; width_px += step_px_) {
    for (std::int64_t height_px = step_px_; height_px <= 64 * step_px_; height_px += step_px_) {
      const bool fits =
          width_px * height_px <= area_px && width_px <= 2 * height_px && height_px <= 2 * width_px;
      const bool is_highest = width_px * (height_px + step_px_) > area_px;
      const bool is_widest = (width_px + step_px_) * height_px > area_px;
      if (fits && (is_highest || is_widest)) ++count;
    }
  }
  EXPECT_EQ(buckets_.size(), count);
}

TEST_P(BucketsProperty, NearestIsNearest) {
  for (int i = 0; i < 200; ++i) {
    const ImageSize picture = {.width_px = Draw(16384), .height_px = Draw(16384)};
    const std::size_t nearest = NearestBucket(buckets_, picture);
    const double distance = std::abs(Shape(buckets_[nearest]) - Shape(picture));
    for (std::size_t other = 0; other < buckets_.size(); ++other) {
      const double its = std::abs(Shape(buckets_[other]) - Shape(picture));
      EXPECT_LE(distance, its + 1e-12);
      if (other < nearest) {
        EXPECT_LT(distance, its + 1e-12);
      }
    }
    EXPECT_EQ(NearestBucket(MakeBuckets(most_, step_px_), picture), nearest);
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, BucketsProperty, ::testing::Range(0U, 20U));

}  // namespace
}  // namespace stint
