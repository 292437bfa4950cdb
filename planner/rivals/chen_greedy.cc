#include <algorithm>
#include <cstdint>
#include <vector>

#include "planner/rivals/rival_run.h"
#include "planner/rivals/rivals.h"

namespace stint {
namespace {

constexpr int kSizeSteps = 64;

/// By op before the border: whether all later ops of the forward pass depend on earlier ones only
/// through what it makes.
std::vector<bool> PassagesOf(const FlatProgram& program, std::int32_t border) {
  std::vector<std::int32_t> last_read(program.values.size(), -1);
  for (std::int32_t op = 0; op < border; ++op) {
    for (const std::int32_t value : program.ReadsOf(op)) {
      last_read[static_cast<std::size_t>(value)] = op;
    }
  }
  std::vector<bool> is_passage(static_cast<std::size_t>(border));
  std::int32_t needed_until = -1;  // The last read of what was made before.
  for (std::int32_t op = 0; op < border; ++op) {
    is_passage[static_cast<std::size_t>(op)] = needed_until <= op;
    for (const std::int32_t value : program.MadeBy(op)) {
      needed_until = std::max(needed_until, last_read[static_cast<std::size_t>(value)]);
    }
  }
  return is_passage;
}

/// Algorithm 3 of the paper: what an op makes is kept if it may end a segment and more than
/// `segment_units` were made since the last one ended. The last segment stays.
KeepSet KeepBySize(const FlatProgram& program, std::int32_t border, std::int64_t segment_units,
                   const std::vector<bool>& may_end) {
  KeepSet is_kept(program.values.size(), false);
  std::int64_t made_units = 0;
  std::int32_t last_end = 0;
  for (std::int32_t op = 0; op < border; ++op) {
    for (const std::int32_t value : program.MadeBy(op)) {
      made_units += program.values[static_cast<std::size_t>(value)].units;
    }
    if (may_end[static_cast<std::size_t>(op)] && made_units > segment_units) {
      for (const std::int32_t value : program.MadeBy(op)) {
        is_kept[static_cast<std::size_t>(value)] = true;
      }
      made_units = 0;
      last_end = op;
    }
  }
  for (std::size_t value = 0; value < is_kept.size(); ++value) {
    if (program.values[value].creator >= last_end) is_kept[value] = true;
  }
  return is_kept;
}

class ChenGreedySolver : public Solver {
 public:
  std::string Name() const override { return "chen-greedy"; }

  SolveResult Solve(const Problem& problem, const SolveOptions& options) const override {
    RivalRun run(problem, options, "segments by bytes");
    if (run.IsOverWhenFlat()) return run.Take();
    std::int64_t forward_units = 1;
    for (const FlatValue& value : run.flat().values) {
      if (value.creator < run.border()) forward_units += value.units;
    }
    const std::vector<bool> anywhere(static_cast<std::size_t>(run.border()), true);
    const std::vector<bool> passages = PassagesOf(run.flat(), run.border());
    for (const std::int64_t units : GeometricSteps(1, forward_units, kSizeSteps)) {
      for (const std::vector<bool>& may_end : {anywhere, passages}) {
        if (run.IsOver()) return run.Take();
        run.OfferKept(KeepBySize(run.flat(), run.border(), units, may_end));
      }
    }
    return run.Take();
  }
};

}  // namespace

std::unique_ptr<Solver> MakeChenGreedySolver() { return std::make_unique<ChenGreedySolver>(); }

}  // namespace stint
