#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "planner/packing.h"
#include "tests/planner/packings.h"

namespace stint {
namespace {

class PackingProperty : public ::testing::TestWithParam<std::uint32_t> {};

TEST_P(PackingProperty, KeepsBlocksThatLiveTogetherApart) {
  const std::vector<Block> blocks = RandomBlocks(GetParam(), 150);

  const Packing packing = Pack(blocks);

  EXPECT_EQ(DescribeFault(blocks, packing.offsets, packing.height_bytes), "");
  for (const std::int64_t offset_bytes : packing.offsets) EXPECT_EQ(offset_bytes % 512, 0);
}

TEST_P(PackingProperty, LoadIsTheMostBytesAliveAtOnce) {
  const std::vector<Block> blocks = RandomBlocks(GetParam(), 150);

  const Packing packing = Pack(blocks);

  EXPECT_EQ(packing.load_bytes, LoadOf(blocks));
  EXPECT_GE(packing.lower_bound_bytes, packing.load_bytes);
  EXPECT_GE(packing.height_bytes, packing.lower_bound_bytes);
}

TEST_P(PackingProperty, GivesEqualOffsetsWithAnyNumberOfThreads) {
  const std::vector<Block> blocks = CutRectangle(GetParam(), 40, 64, 60);

  const Packing one = Pack(blocks, {.step_limit = 2'000'000, .thread_count = 1});

  EXPECT_EQ(Pack(blocks, {.step_limit = 2'000'000, .thread_count = 1}).offsets, one.offsets);
  EXPECT_EQ(Pack(blocks, {.step_limit = 2'000'000, .thread_count = 3}).offsets, one.offsets);
}

TEST_P(PackingProperty, FindsTheBestHeightOfAFewBlocksAndProvesIt) {
  for (std::uint32_t i = 0; i < 20; ++i) {
    const std::vector<Block> blocks = RandomBlocks(1000 * GetParam() + i, 6);

    const Packing packing = Pack(blocks, {.thread_count = 1});

    EXPECT_EQ(packing.height_bytes, BestHeight(blocks));
    EXPECT_EQ(packing.lower_bound_bytes, packing.height_bytes);
    EXPECT_EQ(DescribeFault(blocks, packing.offsets, packing.height_bytes), "");
  }
}

TEST_P(PackingProperty, PutsTheRectangleTogetherThatItsBlocksWereCutFrom) {
  const std::vector<Block> blocks = CutRectangle(GetParam(), 30, 48, 30);

  const Packing packing = Pack(blocks);

  EXPECT_EQ(packing.load_bytes, 48 * 512);
  EXPECT_EQ(packing.height_bytes, 48 * 512);
  EXPECT_EQ(DescribeFault(blocks, packing.offsets, packing.height_bytes), "");
}

TEST_P(PackingProperty, IsRightWhereverALimitEndsIt) {
  const std::vector<Block> blocks = CutRectangle(GetParam(), 40, 64, 80);
  const std::atomic<bool> stop = true;
  std::int64_t last_bytes = Pack(blocks, {.stop = &stop}).height_bytes;
  for (const std::int64_t step_limit : {0, 1000, 100'000, 1'000'000}) {
    const Packing packing = Pack(blocks, {.step_limit = step_limit});

    EXPECT_EQ(DescribeFault(blocks, packing.offsets, packing.height_bytes), "");
    EXPECT_LE(packing.height_bytes, last_bytes);
    EXPECT_LE(packing.lower_bound_bytes, packing.height_bytes);
  }
}

TEST_P(PackingProperty, StopsAtItsGoal) {
  const std::vector<Block> blocks = CutRectangle(GetParam(), 30, 48, 30);

  const Packing packing = Pack(blocks, {.goal_bytes = 52 * 512});

  EXPECT_LE(packing.height_bytes, 52 * 512);
}

INSTANTIATE_TEST_SUITE_P(Seeds, PackingProperty, ::testing::Range(1U, 21U));

}  // namespace
}  // namespace stint
