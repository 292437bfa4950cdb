#include "tests/planner/packings.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <random>

namespace stint {
namespace {

bool MeetInTime(const Block& a, const Block& b) { return a.begin < b.end && b.begin < a.end; }

struct Rectangle {
  std::int32_t begin = 0;
  std::int32_t end = 0;
  std::int64_t low = 0;
  std::int64_t high = 0;
};

}  // namespace

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

std::vector<Block> CutRectangle(std::uint32_t seed, std::int32_t width, std::int64_t height,
                                std::uint32_t count) {
  std::mt19937 random(seed);
  std::vector<Rectangle> pieces = {{.end = width, .high = height}};
  for (std::uint32_t tries = 0; pieces.size() < count && tries < 100 * count; ++tries) {
    Rectangle& piece = pieces[random() % pieces.size()];
    Rectangle rest = piece;
    if (random() % 2 == 0 && piece.end - piece.begin > 1) {
      const auto length = static_cast<std::uint32_t>(piece.end - piece.begin);
      piece.end = piece.begin + 1 + static_cast<std::int32_t>(random() % (length - 1));
      rest.begin = piece.end;
      pieces.push_back(rest);
    } else if (piece.high - piece.low > 1) {
      const auto length = static_cast<std::uint32_t>(piece.high - piece.low);
      piece.high = piece.low + 1 + static_cast<std::int64_t>(random() % (length - 1));
      rest.low = piece.high;
      pieces.push_back(rest);
    }
  }
  std::ranges::shuffle(pieces, random);
  std::vector<Block> blocks{};
  for (const Rectangle& piece : pieces) {
    blocks.push_back(
        {.size_bytes = 512 * (piece.high - piece.low), .begin = piece.begin, .end = piece.end});
  }
  return blocks;
}

std::string DescribeFault(const std::vector<Block>& blocks,
                          const std::vector<std::int64_t>& offsets, std::int64_t height_bytes) {
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (offsets[i] < 0 || offsets[i] + blocks[i].size_bytes > height_bytes) {
      return std::to_string(i) + " is outside";
    }
    for (std::size_t j = 0; j < i; ++j) {
      const bool is_apart = offsets[i] + blocks[i].size_bytes <= offsets[j] ||
                            offsets[j] + blocks[j].size_bytes <= offsets[i];
      if (!is_apart && MeetInTime(blocks[i], blocks[j])) {
        return std::to_string(i) + " meets " + std::to_string(j);
      }
    }
  }
  return {};
}

std::int64_t LoadOf(const std::vector<Block>& blocks) {
  std::int64_t load_bytes = 0;
  for (const Block& at : blocks) {
    std::int64_t alive_bytes = 0;
    for (const Block& block : blocks) {
      alive_bytes += block.begin <= at.begin && at.begin < block.end ? block.size_bytes : 0;
    }
    load_bytes = std::max(load_bytes, alive_bytes);
  }
  return load_bytes;
}

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
  } while (std::ranges::next_permutation(order).found);
  return best_bytes;
}

}  // namespace stint
