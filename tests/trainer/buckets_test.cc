#include "trainer/buckets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace stint {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> Names(const ImageSize& most, std::int64_t step_px) {
  std::vector<std::string> names;
  for (const ImageSize& size : MakeBuckets(most, step_px)) names.push_back(NameOf(size));
  return names;
}

TEST(BucketsTest, HaveTheLargestHeightOfEachWidthAndTheOtherWayRound) {
  // 9 steps of area: 1x9 and 3x3 and 4x2, of which 1x9 is longer than 1:2.
  EXPECT_THAT(Names({192, 192}, 64), ElementsAre("128x256", "192x192", "256x128"));
  // 64 steps: 6x10, 7x9, 8x8, 9x7, 10x6; 5x12 and 11x5 are longer.
  EXPECT_THAT(Names({512, 512}, 64),
              ElementsAre("384x640", "448x576", "512x512", "576x448", "640x384"));
  // 96 steps: the widths 7 to 10 have the heights 13, 12, 10 and 9, and the height 11 has width 8.
  EXPECT_THAT(Names({512, 768}, 64), ElementsAre("448x832", "512x704", "512x768", "576x640",
                                                 "640x576", "704x512", "768x512", "832x448"));
}

TEST(BucketsTest, HaveTheAreaOfASizeWhateverItsShape) {
  EXPECT_EQ(Names({768, 512}, 64), Names({512, 768}, 64));
  EXPECT_THAT(Names({64, 192}, 64), ElementsAre("64x128", "128x64"));
}

TEST(BucketsTest, AreNoneBelowOneStep) {
  EXPECT_THAT(Names({64, 64}, 64), ElementsAre("64x64"));
  EXPECT_THAT(Names({32, 96}, 64), IsEmpty());
}

TEST(BucketsTest, TakeThePicturesThatAreNearestInShape) {
  const std::vector<ImageSize> buckets = MakeBuckets({512, 512}, 64);
  const auto nearest = [&](const ImageSize& picture) {
    return NameOf(buckets[NearestBucket(buckets, picture)]);
  };
  EXPECT_EQ(nearest({1000, 1000}), "512x512");
  EXPECT_EQ(nearest({3000, 2300}), "576x448");  // 1.30 and 1.29.
  EXPECT_EQ(nearest({2300, 3000}), "448x576");
  EXPECT_EQ(nearest({10'000, 1000}), "640x384");  // Much of it is cut off.
  EXPECT_EQ(nearest({1, 16384}), "384x640");
}

TEST(BucketsTest, TakeAPictureBetweenTwoShapesToTheFirst) {
  // 2 is twice 1, and half of 4.
  const std::vector<ImageSize> buckets = {{400, 100}, {100, 100}};
  EXPECT_EQ(NearestBucket(buckets, {200, 100}), 0U);
  EXPECT_EQ(NearestBucket(buckets, {199, 100}), 1U);
}

}  // namespace
}  // namespace stint
