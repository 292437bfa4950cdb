// Random blocks, and what is true of packings by trying all pairs and all orders.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "planner/packing.h"

namespace stint {

/// Blocks of 1 to 64 times 512 bytes, most of them short-lived, within 80 ticks.
std::vector<Block> RandomBlocks(std::uint32_t seed, std::uint32_t count);

/// A full rectangle of `width` ticks and `height` times 512 bytes, cut at random into `count`
/// blocks: load and lowest height are known, and there is no room to waste.
std::vector<Block> CutRectangle(std::uint32_t seed, std::int32_t width, std::int64_t height,
                                std::uint32_t count);

/// Says which two blocks meet in space and time, or which one is out of [0, height); empty if the
/// packing is right. Looks at every pair.
std::string DescribeFault(const std::vector<Block>& blocks,
                          const std::vector<std::int64_t>& offsets, std::int64_t height_bytes);

/// The most bytes alive at once, tick by tick.
std::int64_t LoadOf(const std::vector<Block>& blocks);

/// The lowest height of all, by trying every order: some order reaches it with each block on top of
/// all it meets, because the blocks of a best packing can be dropped in by ascending offset.
std::int64_t BestHeight(const std::vector<Block>& blocks);

}  // namespace stint
