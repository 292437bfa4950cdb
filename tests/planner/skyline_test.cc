#include "planner/skyline.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "planner/small_random.h"

namespace stint {
namespace {

constexpr std::int32_t kEnd = 600;

using PlacedBlock = std::pair<Block, std::int64_t>;  // And its offset.

bool Meet(const Block& a, const Block& b) { return a.begin < b.end && b.begin < a.end; }

bool IsFree(const std::vector<PlacedBlock>& placed, const Block& block, std::int64_t offset_bytes) {
  for (const auto& [other, other_bytes] : placed) {
    if (Meet(block, other) && offset_bytes < other_bytes + other.size_bytes &&
        other_bytes < offset_bytes + block.size_bytes) {
      return false;
    }
  }
  return true;
}

Block SomeBlock(SmallRandom& random, std::int32_t begin, std::int32_t end) {
  const auto length = static_cast<std::size_t>(end - begin);
  const auto first = begin + static_cast<std::int32_t>(random.Below(length));
  const auto count = 1 + random.Below(static_cast<std::size_t>(end - first));
  return {.size_bytes = static_cast<std::int64_t>(1 + random.Below(6)),
          .begin = first,
          .end = first + static_cast<std::int32_t>(count)};
}

class SkylinePairProperty : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(SkylinePairProperty, GivesBothPartsTheLowestOffsetThatIsFreeForBoth) {
  SmallRandom random(GetParam());
  Skyline skyline(kEnd);
  std::vector<PlacedBlock> placed{};
  for (int i = 0; i < 40; ++i) {
    const Block first = SomeBlock(random, 0, kEnd / 2);
    Block second = SomeBlock(random, kEnd / 2, kEnd);
    second.size_bytes = first.size_bytes;
    std::int64_t lowest_bytes = 0;
    while (!IsFree(placed, first, lowest_bytes) || !IsFree(placed, second, lowest_bytes)) {
      ++lowest_bytes;
    }

    EXPECT_EQ(skyline.FindForBoth(first, second, FitRule::kFirst), lowest_bytes);
    const std::int64_t offset_bytes = skyline.FindForBoth(first, second, FitRule::kBest);
    EXPECT_TRUE(IsFree(placed, first, offset_bytes) && IsFree(placed, second, offset_bytes));

    for (const Block& block : {first, second}) {
      skyline.Add(block, offset_bytes);
      placed.emplace_back(block, offset_bytes);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, SkylinePairProperty, ::testing::Range<std::uint64_t>(0, 20));

}  // namespace
}  // namespace stint
