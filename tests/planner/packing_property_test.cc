#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

#include "planner/packing.h"

namespace stint {
namespace {

std::vector<Block> RandomBlocks(std::uint32_t seed, std::uint32_t count) {
  std::mt19937 random(seed);
  std::vector<Block> blocks{};
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto begin = static_cast<std::int32_t>(random() % 40);
    const auto length = static_cast<std::int32_t>(1 + random() % (i % 3 == 0 ? 40 : 4));
    blocks.push_back({.size_bytes = 512 * static_cast<std::int64_t>(1 + random() % 64),
                      .begin = begin,
                      .end = begin + length});
  }
  return blocks;
}

bool MeetInTime(const Block& a, const Block& b) { return a.begin < b.end && b.begin < a.end; }

/// The lowest height of all: some order reaches it with each block on top of what it meets or in a
/// gap, because the blocks of a best packing can be dropped in by ascending offset.
std::int64_t BestHeight(const std::vector<Block>& blocks) {
  std::vector<std::size_t> order(blocks.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::int64_t best_bytes = std::numeric_limits<std::int64_t>::max();
  do {
    std::vector<std::int64_t> top_bytes(blocks.size(), 0);
    std::int64_t height_bytes = 0;
    for (std::size_t i = 0; i < order.size(); ++i) {
      std::int64_t offset_bytes = 0;
      for (std::size_t j = 0; j < i; ++j) {
        if (MeetInTime(blocks[order[i]], blocks[order[j]])) {
          offset_bytes = std::max(offset_bytes, top_bytes[order[j]]);
        }
      }
      top_bytes[order[i]] = offset_bytes + blocks[order[i]].size_bytes;
      height_bytes = std::max(height_bytes, top_bytes[order[i]]);
    }
    best_bytes = std::min(best_bytes, height_bytes);
  } while (std::next_permutation(order.begin(), order.end()));
  return best_bytes;
}

class PackingProperty : public ::testing::TestWithParam<std::uint32_t> {};

TEST_P(PackingProperty, KeepsBlocksThatLiveTogetherApart) {
  const std::vector<Block> blocks = RandomBlocks(GetParam(), 150);

  const Packing packing = Pack(blocks);

  for (std::size_t i = 0; i < blocks.size(); ++i) {
    EXPECT_EQ(packing.offsets[i] % 512, 0);
    EXPECT_GE(packing.offsets[i], 0);
    EXPECT_LE(packing.offsets[i] + blocks[i].size_bytes, packing.height_bytes);
    for (std::size_t j = 0; j < i; ++j) {
      const bool is_apart = packing.offsets[i] + blocks[i].size_bytes <= packing.offsets[j] ||
                            packing.offsets[j] + blocks[j].size_bytes <= packing.offsets[i];
      EXPECT_TRUE(is_apart || !MeetInTime(blocks[i], blocks[j])) << i << " and " << j;
    }
  }
}

TEST_P(PackingProperty, LoadIsTheMostBytesAliveAtOnce) {
  const std::vector<Block> blocks = RandomBlocks(GetParam(), 150);

  const Packing packing = Pack(blocks);

  std::int64_t load_bytes = 0;
  for (std::int32_t tick = 0; tick < 80; ++tick) {
    std::int64_t alive_bytes = 0;
    for (const Block& block : blocks) {
      alive_bytes += block.begin <= tick && tick < block.end ? block.size_bytes : 0;
    }
    load_bytes = std::max(load_bytes, alive_bytes);
  }
  EXPECT_EQ(packing.load_bytes, load_bytes);
  EXPECT_GE(packing.height_bytes, load_bytes);
}

TEST_P(PackingProperty, GivesEqualOffsetsForEqualBlocks) {
  const std::vector<Block> blocks = RandomBlocks(GetParam(), 150);

  EXPECT_EQ(Pack(blocks).offsets, Pack(blocks).offsets);
}

TEST_P(PackingProperty, IsNeverBelowTheBestHeightOfAFewBlocksAndOftenAtIt) {
  std::int32_t best_count = 0;
  for (std::uint32_t i = 0; i < 20; ++i) {
    const std::vector<Block> blocks = RandomBlocks(1000 * GetParam() + i, 6);
    const Packing packing = Pack(blocks);
    const std::int64_t best_bytes = BestHeight(blocks);

    EXPECT_GE(best_bytes, packing.load_bytes);
    EXPECT_GE(packing.height_bytes, best_bytes);
    best_count += packing.height_bytes == best_bytes ? 1 : 0;
  }
  EXPECT_GE(best_count, 15);
}

INSTANTIATE_TEST_SUITE_P(Seeds, PackingProperty, ::testing::Range(1U, 21U));

}  // namespace
}  // namespace stint
