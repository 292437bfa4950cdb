#include "trainer/data_order.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <set>
#include <vector>

namespace stint {
namespace {

constexpr std::size_t kPictureCount = 7;

std::vector<std::size_t> Epoch(DataOrder& order, std::int64_t epoch) {
  std::vector<std::size_t> pictures;
  for (std::int64_t i = 0; i < std::int64_t{kPictureCount}; ++i) {
    pictures.push_back(order.PictureOf(epoch * std::int64_t{kPictureCount} + i));
  }
  return pictures;
}

TEST(DataOrderTest, ShowsEveryPictureOnceInEachEpoch) {
  DataOrder order(1, kPictureCount);
  for (std::int64_t epoch = 0; epoch < 20; ++epoch) {
    const std::vector<std::size_t> pictures = Epoch(order, epoch);
    EXPECT_EQ(std::set(pictures.begin(), pictures.end()).size(), kPictureCount);
    EXPECT_EQ(order.EpochsIn(epoch * std::int64_t{kPictureCount}), epoch);
  }
}

TEST(DataOrderTest, DiffersBetweenEpochsAndSeeds) {
  DataOrder one(1, kPictureCount);
  DataOrder other(2, kPictureCount);
  std::set<std::vector<std::size_t>> orders;
  for (std::int64_t epoch = 0; epoch < 5; ++epoch) {
    orders.insert(Epoch(one, epoch));
    orders.insert(Epoch(other, epoch));
  }
  EXPECT_GE(orders.size(), 9U);  // Of 5040; two that are equal would be a rare accident.
}

TEST(DataOrderTest, IsTheSameFromWhereverItIsEntered) {
  DataOrder straight(3, kPictureCount);
  std::vector<std::size_t> pictures;
  for (std::int64_t i = 0; i < 40; ++i) pictures.push_back(straight.PictureOf(i));
  for (std::int64_t begin = 39; begin >= 0; --begin) {
    DataOrder resumed(3, kPictureCount);
    EXPECT_EQ(resumed.PictureOf(begin), pictures[static_cast<std::size_t>(begin)]);
  }
}

// Seven pictures in three buckets of 4, 1 and 2; three samples in a step. An epoch is of 2 steps, 1
// and 1.
const std::vector<std::size_t> kBuckets = {2, 0, 0, 1, 2, 0, 0};
constexpr std::int64_t kSamplesPerStep = 3;
constexpr std::int64_t kStepsPerEpoch = 4;

std::vector<std::size_t> Take(DataOrder& order, std::int64_t begin, std::int64_t count) {
  std::vector<std::size_t> pictures;
  for (std::int64_t i = begin; i < begin + count; ++i) pictures.push_back(order.PictureOf(i));
  return pictures;
}

TEST(DataOrderTest, TakesAStepsSamplesFromOneBucketAndGoesBucketByBucket) {
  DataOrder order(1, kBuckets, kSamplesPerStep);
  std::set<std::vector<std::size_t>> bucket_orders;
  for (std::int64_t epoch = 0; epoch < 20; ++epoch) {
    std::vector<std::size_t> left;  // Buckets, in the order in which they are done.
    for (std::int64_t step = epoch * kStepsPerEpoch; step < (epoch + 1) * kStepsPerEpoch; ++step) {
      const std::size_t bucket = order.BucketOf(step * kSamplesPerStep);
      for (const std::size_t picture : Take(order, step * kSamplesPerStep, kSamplesPerStep)) {
        EXPECT_EQ(kBuckets[picture], bucket);
      }
      if (left.empty() || left.back() != bucket) left.push_back(bucket);
    }
    EXPECT_EQ(left.size(), 3U);
    bucket_orders.insert(left);
  }
  EXPECT_EQ(bucket_orders.size(), 6U);  // All of them, in 20 epochs.
}

TEST(DataOrderTest, FillsABucketsLastStepFromTheFrontOfItsOwnOrder) {
  DataOrder order(1, kBuckets, kSamplesPerStep);
  for (std::int64_t epoch = 0; epoch < 20; ++epoch) {
    std::vector<std::vector<std::size_t>> by_bucket(3);
    for (const std::size_t picture :
         Take(order, epoch * kStepsPerEpoch * kSamplesPerStep, kStepsPerEpoch * kSamplesPerStep)) {
      by_bucket[kBuckets[picture]].push_back(picture);
    }
    const std::vector<std::size_t> counts = {4, 1, 2};
    for (std::size_t bucket = 0; bucket < 3; ++bucket) {
      const std::vector<std::size_t>& own = by_bucket[bucket];
      const auto once = own.begin() + static_cast<std::ptrdiff_t>(counts[bucket]);
      EXPECT_EQ(std::set(own.begin(), once).size(), counts[bucket]);
      for (std::size_t i = counts[bucket]; i < own.size(); ++i) {
        EXPECT_EQ(own[i], own[i - counts[bucket]]);
      }
    }
    EXPECT_EQ(by_bucket[0].size(), 6U);
    EXPECT_EQ(by_bucket[1].size(), 3U);
    EXPECT_EQ(by_bucket[2].size(), 3U);
  }
}

TEST(DataOrderTest, CountsTheEpochsOfBucketsInWholeSteps) {
  const DataOrder order(1, kBuckets, kSamplesPerStep);
  EXPECT_EQ(order.EpochsIn(11), 0);
  EXPECT_EQ(order.EpochsIn(12), 1);
  EXPECT_EQ(order.EpochsIn(24), 2);
}

TEST(DataOrderTest, IsTheSameFromWhereverBucketsAreEntered) {
  DataOrder straight(3, kBuckets, kSamplesPerStep);
  const std::vector<std::size_t> pictures = Take(straight, 0, 60);
  for (std::int64_t begin = 59; begin >= 0; --begin) {
    DataOrder resumed(3, kBuckets, kSamplesPerStep);
    EXPECT_EQ(resumed.BucketOf(begin), kBuckets[pictures[static_cast<std::size_t>(begin)]]);
    EXPECT_EQ(resumed.PictureOf(begin), pictures[static_cast<std::size_t>(begin)]);
  }
}

TEST(DataOrderTest, IsThatWithoutBucketsWhereAllPicturesAreOfOne) {
  DataOrder plain(5, kPictureCount);
  for (const std::size_t bucket : {0U, 2U}) {
    DataOrder order(5, std::vector<std::size_t>(kPictureCount, bucket), 4);
    EXPECT_EQ(Take(order, 0, 50), Take(plain, 0, 50));
    EXPECT_EQ(order.EpochsIn(50), plain.EpochsIn(50));
  }
}

}  // namespace
}  // namespace stint
