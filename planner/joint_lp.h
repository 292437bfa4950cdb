// The relaxation behind bounds for plans with copies, as a linear program: its columns and rows are
// those of ir/check_copy_certificate.h, built here from the planner's own view of the program, so
// that a mistake on either side shows as a bound that the checker does not confirm.
//
//     minimise  sum of T(w)   over shares S, H, I, D, R, Z of each buffer and op in each window
//
// Smaller than the truth in two ways, which only lower the bound: small activations are there for
// nothing, and suffix rows are written for few cuts.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/plan.h"
#include "planner/joint_windows.h"
#include "planner/linear_program.h"

namespace stint {

struct JointLpLimits {
  std::int64_t arena_bytes = 0;
  std::int64_t host_bytes = 0;           // 0: as much as they like.
  std::int64_t small_blocks = 512;       // Activations below this are always there.
  std::vector<std::int32_t> suffixes{};  // Windows with suffix rows.
};

/// Which row of the checker's a row is.
struct JointRow {
  BoundRow row{};
  std::int32_t window = 0;
  OpId op{};          // Closures and suffix sums.
  BufferId buffer{};  // All that are about one.
};

/// By buffer of the program and window; -1 where there is no column.
using JointColumns = std::vector<std::vector<std::int32_t>>;

struct JointLp {
  LinearProgram program{};            // Times in ms, bytes in units of kMemoryBlocks.
  std::vector<JointRow> rows{};       // By row of the program.
  JointColumns kept{};                // S.
  JointColumns on_host{};             // H.
  JointColumns fetched{};             // I.
  JointColumns written{};             // D.
  JointColumns again{};               // R, by place instead of buffer.
  std::vector<std::int32_t> times{};  // T, by window.
};

inline constexpr double kLpTimeNs = 1e6;
inline constexpr double kLpMemoryBlocks = 1 << 21;

/// O(windows * arguments).
JointLp BuildJointLp(const JointProgram& joint, const JointLpLimits& limits);

/// Multipliers of the checker's rows, from `duals` of the program's: rounded to whole ones, and
/// made to satisfy what the checker asks of them. Whatever `duals` are, what they prove is true.
std::vector<BoundRows> RoundDuals(const JointLp& lp, const std::vector<double>& duals,
                                  std::int64_t scale);

}  // namespace stint
