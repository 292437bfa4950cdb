// Packing problems as the CSV files of MiniMalloc, so that either packer runs on the other's
// instances: a line for each block, `id,lower,upper,size`, and in answers its `offset`.
//
// What a block may ask for beyond that there (alignment, a fixed offset, gaps in its life) is
// refused: no plan of ours needs it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "planner/packing.h"

namespace stint {

/// One line of such a file, as it is written there.
struct PackingRow {
  std::string id{};             // Any text without a comma.
  std::int64_t lower = 0;       // Lives during [lower, upper).
  std::int64_t upper = 0;       //
  std::int64_t size_bytes = 0;  // > 0.
};

/// Reads a file whose first line names its columns, in any order. O(bytes).
/// @throws InputError naming `where` and the line: a column that is missing, unknown or doubled, a
/// cell that is missing or no number, a life that ends before it begins, sizes whose sum reaches
/// 2^60.
std::vector<PackingRow> ParsePackingCsv(std::string_view text, const std::string& where);

/// The rows as blocks, in the same order. Times become ranks: only their order matters.
std::vector<Block> BlocksOf(const std::vector<PackingRow>& rows);

/// The answer: the rows with one more column. `offsets` has one for each row.
std::string FormatPackingCsv(const std::vector<PackingRow>& rows,
                             const std::vector<std::int64_t>& offsets);

}  // namespace stint
