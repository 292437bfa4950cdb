// The moments that a packer has to look at. Two blocks meet if and only if some moment of theirs is
// crowded: something was born just before it, and something dies just after. All other moments have
// a subset of the blocks of a crowded one.
//
//     time       0  1  2  3  4  5  6
//     a          |--------|
//     b             |--|
//     c                   |--------|
//     crowded       ^         ^           just before 2: born at 1, dies at 2; just before 6
#pragma once

#include <cstdint>
#include <vector>

#include "planner/packing.h"

namespace stint {

/// A block by the sections it touches.
struct SectionBlock {
  std::int32_t begin = 0;       // Sections [begin, end); never empty.
  std::int32_t end = 0;         //
  std::int64_t size_bytes = 0;  // > 0.

  bool operator==(const SectionBlock&) const = default;
};

struct PackingSections {
  std::int32_t section_count = 0;      //
  std::vector<SectionBlock> blocks{};  // One for each block, in the same order.
};

/// O(n log n).
PackingSections MakeSections(const std::vector<Block>& blocks);

}  // namespace stint
