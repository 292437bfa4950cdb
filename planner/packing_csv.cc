#include "planner/packing_csv.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <limits>
#include <system_error>

#include "ir/errors.h"
#include "ir/quoted.h"

namespace stint {
namespace {

constexpr std::int64_t kMaxTotalBytes = std::int64_t{1} << 60;

enum class Column : std::uint8_t { kId, kLower, kUpper, kSize };
constexpr std::array<std::string_view, 4> kNames = {"id", "lower", "upper", "size"};

/// "file.csv:3".
std::string LinePlace(const std::string& where, std::size_t line_number) {
  return fmt::format("{}:{}", where, line_number);
}

/// Cuts `text` at its first `separator`; leaves what comes after it.
std::string_view TakeUpTo(std::string_view& text, char separator) {
  const std::size_t length = std::min(text.find(separator), text.size());
  const std::string_view head = text.substr(0, length);
  text.remove_prefix(std::min(length + 1, text.size()));
  return head;
}

std::string_view TakeLine(std::string_view& text) {
  std::string_view line = TakeUpTo(text, '\n');
  if (line.ends_with('\r')) {
    line.remove_suffix(1);
  }
  return line;
}

std::vector<std::string_view> Cells(std::string_view line) {
  std::vector<std::string_view> cells{};
  while (true) {
    const bool is_last = line.find(',') == std::string_view::npos;
    cells.push_back(TakeUpTo(line, ','));
    if (is_last) {
      return cells;
    }
  }
}

std::vector<Column> ParseHead(std::string_view line, const std::string& place) {
  std::vector<Column> columns{};
  for (const std::string_view cell : Cells(line)) {
    const auto name = std::ranges::find(kNames, cell);
    if (name == kNames.end()) {
      throw InputError(place,
                       fmt::format("has a column {} besides id, lower, upper, size", Quoted(cell)));
    }
    const auto column = static_cast<Column>(name - kNames.begin());
    if (std::ranges::find(columns, column) != columns.end()) {
      throw InputError(place, fmt::format("has the column {} twice", *name));
    }
    columns.push_back(column);
  }
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (std::ranges::find(columns, static_cast<Column>(i)) == columns.end()) {
      throw InputError(place, fmt::format("lacks the column {}", kNames[i]));
    }
  }
  return columns;
}

std::int64_t ParseNumber(std::string_view cell, const std::string& place, std::string_view name) {
  std::int64_t number = 0;
  const char* const end = cell.data() + cell.size();
  const std::from_chars_result result = std::from_chars(cell.data(), end, number);
  if (result.ec == std::errc::result_out_of_range) {
    throw InputError(place, fmt::format("{} does not fit 64 bits: {}", name, Quoted(cell)));
  }
  if (result.ec != std::errc() || result.ptr != end) {
    throw InputError(place, fmt::format("{} is no whole number: \"{}\"", name, Quoted(cell)));
  }
  return number;
}

PackingRow ParseRow(std::string_view line, const std::vector<Column>& columns,
                    const std::string& place) {
  const std::vector<std::string_view> cells = Cells(line);
  if (cells.size() != columns.size()) {
    throw InputError(place,
                     fmt::format("has {} cells for {} columns", cells.size(), columns.size()));
  }
  PackingRow row{};
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const std::string_view name = kNames[static_cast<std::size_t>(columns[i])];
    switch (columns[i]) {
      case Column::kId:
        row.id = cells[i];
        break;
      case Column::kLower:
        row.lower = ParseNumber(cells[i], place, name);
        break;
      case Column::kUpper:
        row.upper = ParseNumber(cells[i], place, name);
        break;
      case Column::kSize:
        row.size_bytes = ParseNumber(cells[i], place, name);
        break;
    }
  }
  if (row.lower >= row.upper) {
    throw InputError(place, fmt::format("lives from {} to {}", row.lower, row.upper));
  }
  if (row.size_bytes <= 0) {
    throw InputError(place, fmt::format("has a size of {}", row.size_bytes));
  }
  return row;
}

}  // namespace

std::vector<PackingRow> ParsePackingCsv(std::string_view text, const std::string& where) {
  if (text.empty()) {
    throw InputError(where, "is empty");
  }
  const std::vector<Column> columns = ParseHead(TakeLine(text), LinePlace(where, 1));
  std::vector<PackingRow> rows{};
  std::int64_t total_bytes = 0;
  for (std::size_t line_number = 2; !text.empty(); ++line_number) {
    const std::string place = LinePlace(where, line_number);
    rows.push_back(ParseRow(TakeLine(text), columns, place));
    if (rows.back().size_bytes >= kMaxTotalBytes - total_bytes) {
      throw InputError(place, "brings the sum of all sizes to 2^60 or more");
    }
    total_bytes += rows.back().size_bytes;
    if (rows.size() > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max() / 4)) {
      throw InputError(place, "has too many blocks before it");
    }
  }
  return rows;
}

std::vector<Block> BlocksOf(const std::vector<PackingRow>& rows) {
  std::vector<std::int64_t> times{};
  times.reserve(2 * rows.size());
  for (const PackingRow& row : rows) {
    times.push_back(row.lower);
    times.push_back(row.upper);
  }
  std::ranges::sort(times);
  times.erase(std::unique(times.begin(), times.end()), times.end());
  const auto rank = [&times](std::int64_t time) {
    return static_cast<std::int32_t>(std::ranges::lower_bound(times, time) - times.begin());
  };
  std::vector<Block> blocks{};
  blocks.reserve(rows.size());
  for (const PackingRow& row : rows) {
    blocks.push_back(
        {.size_bytes = row.size_bytes, .begin = rank(row.lower), .end = rank(row.upper)});
  }
  return blocks;
}

std::string FormatPackingCsv(const std::vector<PackingRow>& rows,
                             const std::vector<std::int64_t>& offsets) {
  std::string text = "id,lower,upper,size,offset\n";
  for (std::size_t i = 0; i < rows.size(); ++i) {
    fmt::format_to(std::back_inserter(text), "{},{},{},{},{}\n", rows[i].id, rows[i].lower,
                   rows[i].upper, rows[i].size_bytes, offsets[i]);
  }
  return text;
}

}  // namespace stint
