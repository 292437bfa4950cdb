#include "cli/solver_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <ctime>
#include <exception>

#include "cli/budget.h"
#include "ir/errors.h"
#include "ir/units.h"
#include "planner/make_plan.h"
#include "simulator/simulator.h"

namespace stint {
namespace {

double PercentAbove(std::int64_t duration_ns, std::int64_t base_ns) {
  if (base_ns == 0) return 0;
  return 100 * (static_cast<double>(duration_ns) / static_cast<double>(base_ns) - 1);
}

const char* StatusWord(SolveStatus status) {
  constexpr std::array kWords = {"optimal", "feasible", "infeasible", "unknown"};
  return kWords.at(static_cast<std::size_t>(status));
}

/// @throws std::logic_error if the simulator does not find what the plan says of itself.
void Replay(const Profile& profile, const Plan& plan) {
  const Report report = Simulate(profile, plan);
  Check(report.peak_bytes == plan.peak_bytes, "the replay's peak is the plan's");
  Check(report.arena_bytes == plan.arena_bytes, "the replay's arena is the plan's");
  Check(report.duration_ns == plan.duration_ns, "the replay's duration is the plan's");
}

void Fill(BenchRow& row, const Profile& profile, const PlanAnswer& answer) {
  row.status = StatusWord(answer.status);
  if (!answer.plan) {
    row.min_budget_bytes = answer.min_budget_bytes;
    row.note = answer.binding;
    return;
  }
  const Plan& plan = *answer.plan;
  Replay(profile, plan);
  row.plan_class = plan.certificate.plan_class;
  row.keep_all_peak_bytes = plan.keep_all_peak_bytes;
  row.duration_ns = plan.duration_ns;
  row.lower_bound_ns = plan.lower_bound_ns;
  row.claimed_ns = plan.certificate.claimed_ns;
  row.peak_bytes = plan.peak_bytes;
  row.arena_bytes = plan.arena_bytes;
}

std::string Cell(bool has_value, double value) {
  return has_value ? fmt::format("{:.4f}", value) : "-";
}

std::string BytesCell(std::int64_t size_bytes) {
  return size_bytes > 0 ? FormatBytes(size_bytes) : "-";
}

constexpr std::size_t kColumnCount = 11;
constexpr std::size_t kTextColumn = 2;     // Up to here texts, to the left; then numbers.
constexpr std::size_t kStatusColumn = 10;  // Also a text, and coloured.
using Cells = std::array<std::string, kColumnCount>;

const Cells kHeads = {"instance", "solver", "budget", "ops",   "overhead %", "bound %",
                      "gap pp",   "s",      "peak",   "arena", "status"};

Cells CellsOf(const BenchRow& row) {
  const bool has_plan = HasPlan(row);
  std::string status = row.status;
  if (row.status == "infeasible") status += ", needs " + FormatBytes(row.min_budget_bytes);
  if (row.status == "failed") status += ": " + row.note;
  return {row.instance,
          row.solver,
          row.budget,
          std::to_string(row.op_count),
          Cell(has_plan, OverheadPercent(row)),
          Cell(row.lower_bound_ns > 0, BoundPercent(row)) + (row.claimed_ns > 0 ? "*" : ""),
          Cell(has_plan && row.lower_bound_ns > 0, GapPoints(row)),
          fmt::format("{:.2f}", row.wall_s),
          BytesCell(row.peak_bytes),
          BytesCell(row.arena_bytes),
          status};
}

int ColourOf(const std::string& status) {
  if (status.starts_with("optimal")) return 32;
  if (status.starts_with("failed")) return 31;
  return status.starts_with("unknown") ? 33 : 0;
}

std::string FormatLine(const Cells& cells, const std::array<std::size_t, kColumnCount>& widths,
                       bool has_colour) {
  std::string line{};
  for (std::size_t i = 0; i < kStatusColumn; ++i) {
    line += i <= kTextColumn ? fmt::format("{:<{}}  ", cells[i], widths[i])
                             : fmt::format("{:>{}}  ", cells[i], widths[i]);
  }
  const std::string& status = cells[kStatusColumn];
  const int colour = has_colour ? ColourOf(status) : 0;
  return line + (colour == 0 ? status : fmt::format("\033[{}m{}\033[0m", colour, status)) + "\n";
}

}  // namespace

BenchBudget ParseBenchBudget(const std::string& text) {
  const bool is_number =
      !text.empty() && text.find_first_not_of("0123456789.") == std::string::npos;
  if (is_number || text.ends_with('%')) {
    const std::string percent = is_number ? text + "%" : text;
    return {.text = percent, .share = ParsePercent(percent, "--budgets")};
  }
  const std::int64_t budget_bytes = ParseBytes(text, "--budgets");
  if (budget_bytes == 0) throw InputError("--budgets", "is zero");
  return {.text = text, .budget_bytes = budget_bytes};
}

bool HasPlan(const BenchRow& row) { return row.status == "optimal" || row.status == "feasible"; }

double OverheadPercent(const BenchRow& row) {
  return PercentAbove(row.duration_ns, row.keep_all_duration_ns);
}

double BoundPercent(const BenchRow& row) {
  return PercentAbove(row.lower_bound_ns, row.keep_all_duration_ns);
}

double GapPoints(const BenchRow& row) { return OverheadPercent(row) - BoundPercent(row); }

BenchRow RunBench(const BenchInstance& instance, const BenchBudget& budget,
                  const std::string& solver, const BenchOptions& options) {
  BenchRow row{.instance = instance.name,
               .op_count = static_cast<std::int64_t>(instance.profile.ops.size()),
               .budget = budget.text,
               .budget_bytes = budget.budget_bytes,
               .solver = solver,
               .keep_all_duration_ns = KeepAllDurationNs(instance.profile)};
  const auto wall_begin = std::chrono::steady_clock::now();
  const std::clock_t cpu_begin = std::clock();
  try {
    if (budget.share > 0) row.budget_bytes = ActivationBudget(instance.profile, budget.share);
    const PlanRequest request = {.budget_bytes = row.budget_bytes,
                                 .limits_arena = options.limits_arena,
                                 .solver = solver,
                                 .options = options.solve};
    Fill(row, instance.profile, MakePlan(instance.profile, request));
  } catch (const std::exception& error) {
    row.status = "failed";
    row.note = error.what();
  }
  row.wall_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - wall_begin).count();
  row.cpu_s = static_cast<double>(std::clock() - cpu_begin) / CLOCKS_PER_SEC;
  return row;
}

std::string FormatBenchTable(const std::vector<BenchRow>& rows, bool has_colour) {
  std::vector<Cells> lines{kHeads};
  for (const BenchRow& row : rows) lines.push_back(CellsOf(row));
  std::array<std::size_t, kColumnCount> widths{};
  for (const Cells& cells : lines) {
    for (std::size_t i = 0; i < kColumnCount; ++i) widths[i] = std::max(widths[i], cells[i].size());
  }
  std::string table{};
  for (const Cells& cells : lines) table += FormatLine(cells, widths, has_colour);
  const bool has_claims =
      std::ranges::any_of(rows, [](const BenchRow& row) { return row.claimed_ns > 0; });
  if (has_claims) table += "* in part claimed by a solver that computes in floating point\n";
  return table;
}

}  // namespace stint
