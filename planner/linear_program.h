// Linear and mixed-integer programs, and HiGHS to solve them where it is installed.
//
//     minimise   cost . x
//     so that    row_lower <= A x <= row_upper,  column_lower <= x <= column_upper,
//                x whole where the column says so
//
// Answers are in floating point: a bound that rests on them says so, unless it is evaluated again
// in integers. Refuses to know: plans.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace stint {

inline constexpr double kNoLimit = std::numeric_limits<double>::infinity();

/// Built column by column and row by row; ids are indices.
struct LinearProgram {
  std::vector<double> costs{};                // By column.
  std::vector<double> column_lower{};         //
  std::vector<double> column_upper{};         // kNoLimit: none.
  std::vector<bool> is_whole{};               // By column: must be a whole number.
  std::vector<double> row_lower{};            // By row; -kNoLimit: none.
  std::vector<double> row_upper{};            //
  std::vector<std::int32_t> row_starts{0};    // Row r has the entries [row_starts[r],
                                              // row_starts[r + 1]).
  std::vector<std::int32_t> entry_columns{};  // No column twice in a row.
  std::vector<double> entry_values{};         //

  std::int32_t column_count() const { return static_cast<std::int32_t>(costs.size()); }
  std::int32_t row_count() const { return static_cast<std::int32_t>(row_lower.size()); }

  std::int32_t AddColumn(double cost, double lower, double upper, bool is_whole_number = false);
  /// Starts a row; its entries follow by AddEntry.
  std::int32_t AddRow(double lower, double upper);
  /// To the last row.
  void AddEntry(std::int32_t column, double value);
};

enum class LpMethod : std::uint8_t {
  kChoose,         // Whatever HiGHS thinks best: the dual simplex.
  kInteriorPoint,  // Without a crossover to a vertex: for large programs whose duals are wanted.
};

struct LpOptions {
  double time_limit_s = 60;                 // Wall clock.
  double relative_gap = 1e-4;               // Whole programs: stop here.
  std::int64_t node_limit = 0;              // Whole programs: of the search tree; 0: none.
  std::int32_t thread_count = 1;            //
  std::int32_t seed = 0;                    //
  LpMethod method = LpMethod::kChoose;      // Of programs without whole columns.
  std::vector<double> start{};              // By column: a solution to begin with; may be empty.
  const std::atomic<bool>* stop = nullptr;  // May be null.
};

enum class LpStatus : std::uint8_t {
  kOptimal,     // Within the tolerances.
  kFeasible,    // A limit came first; `values` may be empty, `bound` holds what is proved.
  kInfeasible,  //
  kFailed,      // HiGHS is missing or gave up; `failure` says why.
};

struct LpResult {
  LpStatus status = LpStatus::kFailed;
  std::string failure{};            // One line; empty unless kFailed.
  double objective = 0;             // Of `values`.
  double bound = -kNoLimit;         // No solution costs less, up to the tolerances.
  std::vector<double> values{};     // By column; empty: none found.
  std::vector<double> row_duals{};  // Programs without whole columns: by row, of the sign that
                                    // raises the bound: y > 0 for a binding lower limit.
};

/// Whether a HiGHS library can be loaded. STINT_HIGHS names one ("" or a wrong name: none); else it
/// is the one of the wheel that this was built beside, else what the system has.
bool HasHighs();

/// Why not, in one line, for Plan::solver_parts; empty if HasHighs.
std::string WhyNoHighs();

/// Never throws for what HiGHS does; a missing or failing HiGHS is an answer. Equal arguments give
/// equal results unless the time limit or `stop` ends it, one thread given.
LpResult SolveLinearProgram(const LinearProgram& program, const LpOptions& options);

}  // namespace stint
