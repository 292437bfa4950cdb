#include <algorithm>
#include <boost/dynamic_bitset.hpp>
#include <cstdint>
#include <limits>
#include <vector>

#include "planner/rivals/rival_run.h"
#include "planner/rivals/rivals.h"

namespace stint {
namespace {

// Members of the family of lower sets; of a larger one every k-th is taken.
constexpr std::size_t kFamilyLimit = 512;
// Time of recomputation is counted in so many parts of the forward pass.
constexpr std::size_t kTimeParts = 256;
// Limits on the modelled memory that are tried: the model's peak is not the plan's.
constexpr int kLimitSteps = 32;
constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::max();

/// Sizes, times and edges of the forward ops.
struct ForwardGraph {
  std::vector<std::int64_t> units{};
  std::vector<std::int64_t> duration_ns{};
  std::vector<std::vector<std::int32_t>> sources{};  // By op: whose values it reads.
  std::vector<std::vector<std::int32_t>> readers{};
};

ForwardGraph GraphOf(const FlatProgram& program, std::int32_t border) {
  const auto count = static_cast<std::size_t>(border);
  ForwardGraph graph{.units = std::vector<std::int64_t>(count, 0),
                     .duration_ns = std::vector<std::int64_t>(count, 0),
                     .sources = std::vector<std::vector<std::int32_t>>(count),
                     .readers = std::vector<std::vector<std::int32_t>>(count)};
  for (std::int32_t op = 0; op < border; ++op) {
    const auto index = static_cast<std::size_t>(op);
    graph.duration_ns[index] = program.ops[index].duration_ns;
    for (const std::int32_t value : program.MadeBy(op)) {
      graph.units[index] += program.values[static_cast<std::size_t>(value)].units;
    }
    for (const std::int32_t value : program.ReadsOf(op)) {
      const std::int32_t source = program.values[static_cast<std::size_t>(value)].creator;
      std::vector<std::int32_t>& readers = graph.readers[static_cast<std::size_t>(source)];
      if (!readers.empty() && readers.back() == op) continue;
      readers.push_back(op);
      graph.sources[index].push_back(source);
    }
  }
  return graph;
}

/// A set of ops that holds the sources of each of its members.
struct LowerSet {
  boost::dynamic_bitset<> has{};  // By op.
  std::size_t count = 0;
  std::int64_t units = 0;
  std::int64_t duration_ns = 0;
  std::vector<std::int32_t> boundary{};  // Members that others read: what is kept.
  std::int64_t beyond_units = 0;         // Of the others' readers, and of what those read besides.
};

LowerSet Describe(const ForwardGraph& graph, boost::dynamic_bitset<> has) {
  LowerSet set{.has = std::move(has)};
  std::vector<bool> is_beyond(set.has.size(), false);
  const auto add_beyond = [&](std::int32_t op) {
    const auto index = static_cast<std::size_t>(op);
    if (set.has[index] || is_beyond[index]) return;
    is_beyond[index] = true;
    set.beyond_units += graph.units[index];
  };
  for (std::size_t op = 0; op < set.has.size(); ++op) {
    if (!set.has[op]) continue;
    ++set.count;
    set.units += graph.units[op];
    set.duration_ns += graph.duration_ns[op];
    bool is_boundary = false;
    for (const std::int32_t reader : graph.readers[op]) {
      if (set.has[static_cast<std::size_t>(reader)]) continue;
      is_boundary = true;
      add_beyond(reader);
      for (const std::int32_t source : graph.sources[static_cast<std::size_t>(reader)]) {
        add_beyond(source);
      }
    }
    if (is_boundary) set.boundary.push_back(static_cast<std::int32_t>(op));
  }
  return set;
}

/// For each op all that it depends on, with itself; the empty set first and all ops last; by size.
std::vector<LowerSet> FamilyOf(const ForwardGraph& graph) {
  const std::size_t op_count = graph.units.size();
  std::vector<LowerSet> family{Describe(graph, boost::dynamic_bitset<>(op_count))};
  const std::size_t stride = op_count / kFamilyLimit + 1;
  std::vector<std::int32_t> stack{};
  for (std::size_t op = stride - 1; op < op_count; op += stride) {
    boost::dynamic_bitset<> has(op_count);
    has[op] = true;
    stack.assign(1, static_cast<std::int32_t>(op));
    while (!stack.empty()) {
      const auto here = static_cast<std::size_t>(stack.back());
      stack.pop_back();
      for (const std::int32_t source : graph.sources[here]) {
        const auto index = static_cast<std::size_t>(source);
        if (has[index]) continue;
        has[index] = true;
        stack.push_back(source);
      }
    }
    family.push_back(Describe(graph, std::move(has)));
  }
  std::ranges::stable_sort(family, {}, &LowerSet::count);
  if (family.back().count < op_count) {
    family.push_back(Describe(graph, ~boost::dynamic_bitset<>(op_count)));
  }
  return family;
}

/// From one lower set of a chain to the next.
struct Step {
  std::int32_t from = 0;             // Index in the family.
  std::int32_t to = 0;               //
  std::int64_t kept_units = 0;       // Of the boundary, as far as it is new.
  std::int64_t rerun_ns = 0;         // Of what is between and not kept; 0 for the last step.
  std::int64_t transient_units = 0;  // Besides what was kept before, while it is gone through.
};

std::vector<Step> StepsOf(const ForwardGraph& graph, const std::vector<LowerSet>& family,
                          WorkMeter& work) {
  std::vector<Step> steps{};
  for (std::size_t to = 1; to < family.size() && !work.IsSpent(); ++to) {
    const LowerSet& after = family[to];
    for (std::size_t from = 0; from < to; ++from) {
      const LowerSet& before = family[from];
      work.Add(static_cast<std::int64_t>(before.has.size() / 64) + 1);
      if (before.count == after.count || !before.has.is_subset_of(after.has)) continue;
      Step step{.from = static_cast<std::int32_t>(from), .to = static_cast<std::int32_t>(to)};
      std::int64_t kept_ns = 0;
      for (const std::int32_t op : after.boundary) {
        const auto index = static_cast<std::size_t>(op);
        if (before.has[index]) continue;
        step.kept_units += graph.units[index];
        kept_ns += graph.duration_ns[index];
      }
      const bool is_last = to + 1 == family.size();
      step.rerun_ns = is_last ? 0 : after.duration_ns - before.duration_ns - kept_ns;
      step.transient_units = 2 * (after.units - before.units) + after.beyond_units;
      steps.push_back(step);
    }
  }
  return steps;
}

/// opt[L, t] of the paper: the least that is kept by chains that end in L and rerun for t.
class ChainTable {
 public:
  /// `limit_units`: what a step may take at most, by the model.
  ChainTable(const std::vector<LowerSet>& family, const std::vector<Step>& steps,
             std::int64_t limit_units, WorkMeter& work)
      : cells_(family.size() * kTimeParts) {
    cells_.front().kept_units = 0;
    const std::int64_t part_ns =
        family.back().duration_ns / static_cast<std::int64_t>(kTimeParts) + 1;
    for (const Step& step : steps) {  // Ascending by where they lead.
      if (work.IsSpent()) return;
      work.Add(static_cast<std::int64_t>(kTimeParts) / 16);
      for (std::size_t part = 0; part < kTimeParts; ++part) {
        const Cell& before = CellAt(step.from, part);
        if (before.kept_units == kNone || before.kept_units + step.transient_units > limit_units) {
          continue;
        }
        const std::int64_t rerun_ns = before.rerun_ns + step.rerun_ns;
        Cell& after = CellAt(step.to, static_cast<std::size_t>(rerun_ns / part_ns));
        const std::int64_t kept_units = before.kept_units + step.kept_units;
        if (kept_units >= after.kept_units) continue;
        after = {.kept_units = kept_units,
                 .rerun_ns = rerun_ns,
                 .from = step.from,
                 .from_part = static_cast<std::int32_t>(part)};
      }
    }
  }

  /// The members of the chain that reruns least (or, memory-centric, most), the last two first;
  /// empty if there is none.
  std::vector<std::int32_t> Chain(std::int32_t last, bool is_memory_centric) const {
    for (std::size_t i = 0; i < kTimeParts; ++i) {
      const std::size_t part = is_memory_centric ? kTimeParts - 1 - i : i;
      if (CellAt(last, part).kept_units == kNone) continue;
      std::vector<std::int32_t> chain{last};
      auto here = part;
      while (chain.back() != 0) {
        const Cell& cell = CellAt(chain.back(), here);
        chain.push_back(cell.from);
        here = static_cast<std::size_t>(cell.from_part);
      }
      return chain;
    }
    return {};
  }

 private:
  struct Cell {
    std::int64_t kept_units = kNone;
    std::int64_t rerun_ns = 0;
    std::int32_t from = 0;
    std::int32_t from_part = 0;
  };

  Cell& CellAt(std::int32_t set, std::size_t part) {
    return cells_[static_cast<std::size_t>(set) * kTimeParts + part];
  }
  const Cell& CellAt(std::int32_t set, std::size_t part) const {
    return cells_[static_cast<std::size_t>(set) * kTimeParts + part];
  }

  std::vector<Cell> cells_{};  // By member of the family and part of the time.
};

/// Keeps the boundaries of all members of `chain`, and all of what comes after the last but one.
KeepSet KeepOf(const FlatProgram& program, const std::vector<LowerSet>& family,
               const std::vector<std::int32_t>& chain) {
  std::vector<bool> is_boundary(family.front().has.size(), false);
  for (const std::int32_t set : chain) {
    for (const std::int32_t op : family[static_cast<std::size_t>(set)].boundary) {
      is_boundary[static_cast<std::size_t>(op)] = true;
    }
  }
  const boost::dynamic_bitset<>& before = family[static_cast<std::size_t>(chain[1])].has;
  KeepSet is_kept(program.values.size(), true);
  for (std::size_t value = 0; value < is_kept.size(); ++value) {
    const auto creator = static_cast<std::size_t>(program.values[value].creator);
    if (creator < before.size()) is_kept[value] = is_boundary[creator] || !before[creator];
  }
  return is_kept;
}

class LowerSetsSolver : public Solver {
 public:
  std::string Name() const override { return "lower-sets"; }

  SolveResult Solve(const Problem& problem, const SolveOptions& options) const override {
    RivalRun run(problem, options, "chains of lower sets");
    if (run.IsOverWhenFlat()) return run.Take();
    const ForwardGraph graph = GraphOf(run.flat(), run.border());
    const std::vector<LowerSet> family = FamilyOf(graph);
    const std::vector<Step> steps = StepsOf(graph, family, run.work());
    if (steps.empty()) return run.Take();
    const auto last = static_cast<std::int32_t>(family.size()) - 1;
    const auto [least, most] = std::ranges::minmax(steps, {}, &Step::transient_units);
    for (const std::int64_t limit_units :
         GeometricSteps(std::max<std::int64_t>(least.transient_units, 1),
                        2 * most.transient_units + 1, kLimitSteps)) {
      if (run.IsOver()) break;
      const ChainTable table(family, steps, limit_units, run.work());
      for (const bool is_memory_centric : {false, true}) {
        const std::vector<std::int32_t> chain = table.Chain(last, is_memory_centric);
        if (!chain.empty()) run.OfferKept(KeepOf(run.flat(), family, chain));
      }
    }
    return run.Take();
  }
};

}  // namespace

std::unique_ptr<Solver> MakeLowerSetsSolver() { return std::make_unique<LowerSetsSolver>(); }

}  // namespace stint
