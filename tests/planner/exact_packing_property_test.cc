// The search by itself, against every order of a few blocks.
#include <gtest/gtest.h>

#include <chrono>
#include <thread>
#include <vector>

#include "planner/exact_packing.h"
#include "planner/packing_race.h"
#include "tests/planner/packings.h"

namespace stint {
namespace {

constexpr PackingOrder kOrders[] = {PackingOrder::kSize, PackingOrder::kLength,
                                    PackingOrder::kLoadLength, PackingOrder::kLoadArea,
                                    PackingOrder::kArea};

class ExactPackingProperty : public ::testing::TestWithParam<std::uint32_t> {};

TEST_P(ExactPackingProperty, FindsAPackingExactlyWhereThereIsOne) {
  for (std::uint32_t i = 0; i < 40; ++i) {
    const std::uint32_t seed = 1000 * GetParam() + i;
    const std::vector<Block> blocks =
        i % 2 == 0 ? RandomBlocks(seed, 5 + i % 3) : CutRectangle(seed, 6, 6, 5 + i % 3);
    const std::int64_t best_bytes = BestHeight(blocks);
    const PackingSections sections = MakeSections(blocks);
    for (const PackingOrder order : kOrders) {
      PackingSearch high(sections, best_bytes, order);
      ASSERT_EQ(high.Run({.node_limit = 1'000'000}), PackingAnswer::kFound);
      EXPECT_EQ(DescribeFault(blocks, high.offsets(), best_bytes), "");

      PackingSearch low(sections, best_bytes - 512, order);
      EXPECT_EQ(low.Run({.node_limit = 1'000'000}), PackingAnswer::kImpossible);
    }
  }
}

TEST_P(ExactPackingProperty, BeginsAnewWithTheSameAnswer) {
  const std::vector<Block> blocks = CutRectangle(GetParam(), 12, 12, 12);
  const PackingSections sections = MakeSections(blocks);
  PackingSearch search(sections, 12 * 512, PackingOrder::kSize);

  for (std::int64_t node_limit = 1; node_limit < 100; ++node_limit) {
    ASSERT_NE(search.Run({.node_limit = node_limit}), PackingAnswer::kImpossible);
  }

  ASSERT_EQ(search.Run({.node_limit = 1'000'000}), PackingAnswer::kFound);
  EXPECT_EQ(DescribeFault(blocks, search.offsets(), 12 * 512), "");
  ASSERT_EQ(search.Run({.node_limit = 1'000'000}), PackingAnswer::kFound);
  EXPECT_EQ(DescribeFault(blocks, search.offsets(), 12 * 512), "");
}

INSTANTIATE_TEST_SUITE_P(Seeds, ExactPackingProperty, ::testing::Range(1U, 13U));

TEST(MakeSectionsTest, KeepsTheCrowdedMoments) {
  // The picture in packing_sections.h.
  const PackingSections sections = MakeSections({{.size_bytes = 1, .begin = 0, .end = 3},
                                                 {.size_bytes = 2, .begin = 1, .end = 2},
                                                 {.size_bytes = 3, .begin = 3, .end = 6}});

  EXPECT_EQ(sections.section_count, 2);
  EXPECT_EQ(sections.blocks[0], (SectionBlock{.begin = 0, .end = 1, .size_bytes = 1}));
  EXPECT_EQ(sections.blocks[1], (SectionBlock{.begin = 0, .end = 1, .size_bytes = 2}));
  EXPECT_EQ(sections.blocks[2], (SectionBlock{.begin = 1, .end = 2, .size_bytes = 3}));
}

TEST(LubyNumberTest, DoublesWhatItHasRepeated) {
  std::vector<std::int64_t> numbers{};
  for (std::int64_t i = 0; i < 15; ++i) numbers.push_back(LubyNumber(i));

  EXPECT_EQ(numbers, (std::vector<std::int64_t>{1, 1, 2, 1, 1, 2, 4, 1, 1, 2, 1, 1, 2, 4, 8}));
}

TEST(RacePackingTest, EndsSoonAfterStopAndAtItsDeadline) {
  // Far too many blocks for a proof that no packing is one block of 512 bytes below the lowest.
  std::vector<Block> blocks = CutRectangle(7, 60, 90, 200);
  blocks.push_back({.size_bytes = 512, .begin = 0, .end = 1});
  const PackingSections sections = MakeSections(blocks);
  std::atomic<bool> stop = false;
  const auto begin = std::chrono::steady_clock::now();
  std::jthread stopper([&stop] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    stop = true;
  });

  RacePacking(sections, 91 * 512,
              {.step_limit = std::int64_t{1} << 60,
               .deadline = begin + std::chrono::hours(1),
               .stop = &stop,
               .thread_count = 2});
  RacePacking(sections, 91 * 512,
              {.step_limit = std::int64_t{1} << 60, .deadline = begin, .thread_count = 2});

  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30));
}

}  // namespace
}  // namespace stint
