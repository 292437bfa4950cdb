// What a predicted and a measured report of one plan say about each other: the rows of the table
// that `stint report` prints, and whether the promises were kept.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ir/plan.h"
#include "ir/report.h"

namespace stint {

enum class Verdict : std::uint8_t { kNone, kKept, kBroken };

/// One line of the table; empty cells where a side says nothing.
struct ComparisonRow {
  std::string label{};
  std::string predicted{};
  std::string measured{};
  std::string note{};
  Verdict verdict{};  // Of the note.
};

struct Comparison {
  std::vector<ComparisonRow> rows{};
  std::string memory_difference{};   // The first, in words; empty: equal to the byte.
  std::string results_difference{};  // The first, in words; empty: equal, or nobody looked.
};

/// `plan` adds the rows of its budget; it must be the reports' own.
/// @throws InputError if the reports are of different plans.
Comparison Compare(const Report& predicted, const Report& measured, const Plan* plan);

/// True if memory or results are not as promised.
inline bool IsBroken(const Comparison& comparison) {
  return !comparison.memory_difference.empty() || !comparison.results_difference.empty();
}

/// Aligned columns, one line for each row and one for the heads; notes in colour if asked.
std::string FormatTable(const Comparison& comparison, bool has_colour);

/// One page of HTML that needs nothing beside itself: the table, memory over time, bytes by role at
/// the peak, phases. `plan` adds the budget to the chart; it may be null.
std::string FormatHtml(const Comparison& comparison, const Report& predicted,
                       const Report& measured, const Plan* plan);

}  // namespace stint
