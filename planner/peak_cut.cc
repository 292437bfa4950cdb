#include "planner/peak_cut.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "ir/units.h"
#include "planner/cut_flow.h"

namespace stint {
namespace {

__extension__ typedef __int128 Wide;

// Prices are found where two lines meet; their count is a few dozen, seldom more than twenty.
constexpr int kMostPrices = 60;

/// What a relaxed plan costs by the price of memory: a line.
struct Line {
  std::int64_t run_ns = 0;
  std::int64_t excess_blocks = 0;  // Kept beyond what is free; < 0 below it.
};

/// The price, in ns a block times `scale`, at which the two lines meet; at least 1.
std::int64_t Meet(const Line& above, const Line& below, std::int64_t scale) {
  const Wide rise = Wide{below.run_ns - above.run_ns} * scale;
  const Wide run = Wide{above.excess_blocks} - below.excess_blocks;
  return static_cast<std::int64_t>(std::max<Wide>(1, rise / run));
}

Certificate CertificateOf(const CutSolution& solution, OpId op, std::int64_t budget_bytes,
                          std::int64_t price, std::int64_t scale) {
  BoundRows needs{.row = BoundRow::kNeed};
  for (const CutFlowEdge& edge : solution.needs) {
    needs.buffers.push_back(edge.buffer);
    needs.multipliers.push_back(edge.flow);
  }
  BoundRows closures{.row = BoundRow::kClosure};
  for (const CutFlowEdge& edge : solution.closures) {
    closures.ops.push_back(edge.op);
    closures.buffers.push_back(edge.buffer);
    closures.multipliers.push_back(edge.flow);
  }
  return {.method = "cuts",
          .limit_bytes = budget_bytes,
          .cuts = {op},
          .scale = scale,
          .rows = {{.row = BoundRow::kMemory, .multipliers = {price}}, needs, closures}};
}

}  // namespace

std::int64_t MultiplierScale(std::int64_t total_ns) {
  std::int64_t scale = 1;
  while (scale < (std::int64_t{1} << 24) && total_ns < (std::int64_t{1} << 58) / (2 * scale)) {
    scale *= 2;
  }
  return scale;
}

PeakCut CutAt(const Program& program, OpId op, std::int64_t budget_bytes) {
  CutFlow flow(program, op);
  PeakCut cut{.op = op};
  const std::int64_t least_blocks = flow.Solve({.keep_per_block = 1, .run_per_ns = 0}).kept_blocks;
  cut.least_bytes = flow.taken_bytes() + least_blocks * kAlignmentBytes;
  cut.is_feasible = cut.least_bytes <= budget_bytes;
  if (!cut.is_feasible) return cut;
  const std::int64_t free_blocks = (budget_bytes - flow.taken_bytes()) / kAlignmentBytes;
  std::int64_t total_ns = 0;
  for (const ProgramOp& each : program.ops) total_ns += each.duration_ns;
  const std::int64_t scale = MultiplierScale(total_ns);
  const auto solve = [&](std::int64_t price) {
    return flow.Solve({.keep_per_block = price, .run_per_ns = scale});
  };
  const auto line_of = [&](const CutSolution& solution) {
    return Line{.run_ns = solution.run_ns, .excess_blocks = solution.kept_blocks - free_blocks};
  };
  const auto value_at = [&](const Line& line, std::int64_t price) {
    return Wide{line.run_ns} * scale + Wide{price} * line.excess_blocks;
  };
  // The bound by price is concave: it rises along `above` and falls along `below`.
  CutSolution best = solve(0);
  std::int64_t best_price = 0;
  Line above = line_of(best);
  if (above.excess_blocks > 0) {
    // A price at which no run is worth its bytes is too high to compute with; the line there is
    // that of the least bytes, for which a bound on its time will do.
    Line below{.run_ns = total_ns, .excess_blocks = least_blocks - free_blocks};
    if (below.excess_blocks == 0) below.excess_blocks = -1;  // Keeps the lines' meeting finite.
    Wide best_value = 0;
    for (int i = 0; i < kMostPrices; ++i) {
      const std::int64_t price = Meet(above, below, scale);
      CutSolution solution = solve(price);
      const Line line = line_of(solution);
      const Wide value = value_at(line, price);
      const bool is_met = value >= value_at(above, price) || value >= value_at(below, price);
      if (value > best_value) {
        best_value = value;
        best_price = price;
        best = std::move(solution);
      }
      if (is_met) break;
      (line.excess_blocks > 0 ? above : below) = line;
    }
    cut.recompute_ns = static_cast<std::int64_t>((best_value + scale - 1) / scale);
  }
  cut.price_ns_per_byte = static_cast<double>(best_price) / static_cast<double>(scale) /
                          static_cast<double>(kAlignmentBytes);
  cut.is_kept.assign(program.buffers.size(), false);
  for (const BufferId buffer : best.kept) cut.is_kept[Index(buffer)] = true;
  cut.runs_again.assign(program.ops.size(), false);
  for (const OpId again : best.runs) cut.runs_again[Index(again)] = true;
  cut.certificate = CertificateOf(best, op, budget_bytes, best_price, scale);
  return cut;
}

PeakCut BestCut(const Program& program, const Program& order, std::int64_t budget_bytes,
                int window_count) {
  const std::vector<std::int64_t> live_bytes = LiveBytes(order);
  std::optional<PeakCut> best{};
  const std::size_t step_count = live_bytes.size();
  for (int window = 0; window < window_count; ++window) {
    const auto at = [&](int i) {
      return step_count * static_cast<std::size_t>(i) / static_cast<std::size_t>(window_count);
    };
    std::optional<std::size_t> highest{};
    for (std::size_t step = at(window); step < at(window + 1); ++step) {
      const bool can_be_cut = !order.ops[step].creates.empty();
      if (can_be_cut && (!highest || live_bytes[step] > live_bytes[*highest])) highest = step;
    }
    if (!highest || live_bytes[*highest] <= budget_bytes) continue;
    PeakCut cut = CutAt(program, order.ops[*highest].id, budget_bytes);
    if (!cut.is_feasible) return cut;
    if (!best || cut.recompute_ns > best->recompute_ns) best = std::move(cut);
  }
  if (best) return std::move(*best);
  return {.is_kept = std::vector<bool>(program.buffers.size(), false),
          .runs_again = std::vector<bool>(program.ops.size(), false),
          .certificate = {.method = "sum-of-durations"}};
}

}  // namespace stint
