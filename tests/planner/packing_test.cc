#include "planner/packing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace stint {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(PackTest, TakesNoSpaceForNoBlocks) {
  const Packing packing = Pack({});

  EXPECT_THAT(packing.offsets, IsEmpty());
  EXPECT_EQ(packing.height_bytes, 0);
  EXPECT_EQ(packing.load_bytes, 0);
}

TEST(PackTest, StacksBlocksThatLiveTogether) {
  //   1536 +-----+
  //        |  1  |
  //   1024 +-----+
  //        |  0  |
  //      0 +-----+
  const Packing packing =
      Pack({{.size_bytes = 1024, .begin = 0, .end = 2}, {.size_bytes = 512, .begin = 0, .end = 2}});

  EXPECT_THAT(packing.offsets, ElementsAre(0, 1024));
  EXPECT_EQ(packing.height_bytes, 1536);
  EXPECT_EQ(packing.load_bytes, 1536);
}

TEST(PackTest, GivesTheSamePlaceToBlocksThatFollowEachOther) {
  const Packing packing =
      Pack({{.size_bytes = 1024, .begin = 0, .end = 2}, {.size_bytes = 512, .begin = 2, .end = 3}});

  EXPECT_THAT(packing.offsets, ElementsAre(0, 0));
  EXPECT_EQ(packing.height_bytes, 1024);
}

TEST(PackTest, PutsWhatLivesAllTheTimeAtTheBottom) {
  //   2048      +--+
  //             |2 |
  //   1024 +--+-+--+
  //        |1 |
  //    512 +--+----+
  //        |   0   |
  //      0 +-------+
  const Packing packing = Pack({{.size_bytes = 512, .begin = 0, .end = 4},
                                {.size_bytes = 512, .begin = 0, .end = 2},
                                {.size_bytes = 1536, .begin = 2, .end = 4}});

  EXPECT_THAT(packing.offsets, ElementsAre(0, 512, 512));
  EXPECT_EQ(packing.height_bytes, 2048);
}

TEST(PackTest, ReachesTheLoadWhereOrderOfBirthWouldNot) {
  // In order of birth 0 lies at 0 and 1 above it, so that 2 fits neither below nor between.
  //
  //   1536 +-----+
  //        |  0  |
  //   1024 +--+--+-----+
  //           |   1    |      1 dies last; 2 follows 0
  const Packing packing = Pack({{.size_bytes = 512, .begin = 0, .end = 2},
                                {.size_bytes = 1024, .begin = 1, .end = 4},
                                {.size_bytes = 1024, .begin = 2, .end = 5},
                                {.size_bytes = 512, .begin = 0, .end = 1}});

  EXPECT_EQ(packing.load_bytes, 2048);
  EXPECT_EQ(packing.height_bytes, 2048);
}

TEST(PackTest, ReachesTheLoadWhereOnlyABlockThatSticksOutMustComeFirst) {
  // In units of 512; no order by size, length, area, load, birth or death gets below 10.
  //
  //   9 +        +-----+
  //     |        |  4  |
  //   7 +--------+-----+
  //     |      1       |
  //   5 +--------+--+--+--+
  //     |        |  |  2  |
  //   2 +        |0 +--+--+
  //     |        |  |5 |3 |   0 is 4 high, 3 is 1 high
  //   0 +--------+--+--+--+
  //     0  1     2  3  4  5
  const Packing packing = Pack({{.size_bytes = 2048, .begin = 2, .end = 3},
                                {.size_bytes = 1024, .begin = 0, .end = 4},
                                {.size_bytes = 1536, .begin = 3, .end = 5},
                                {.size_bytes = 512, .begin = 4, .end = 5},
                                {.size_bytes = 1024, .begin = 2, .end = 4},
                                {.size_bytes = 1024, .begin = 3, .end = 4}});

  EXPECT_EQ(packing.load_bytes, 9 * 512);
  EXPECT_EQ(packing.height_bytes, 9 * 512);
}

TEST(PackTest, RefusesBlocksWithoutASizeOrALife) {
  EXPECT_THROW(Pack({{.size_bytes = 0, .begin = 0, .end = 1}}), std::logic_error);
  EXPECT_THROW(Pack({{.size_bytes = 512, .begin = 1, .end = 1}}), std::logic_error);
}

}  // namespace
}  // namespace stint
