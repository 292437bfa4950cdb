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

}  // namespace
}  // namespace stint
