#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "planner/rivals/rival_run.h"
#include "planner/rivals/rivals.h"

namespace stint {
namespace {

// Counts of segments that are tried besides sqrt(n), from 2 to n.
constexpr int kCountSteps = 96;

/// Equal segments of the ops before the border. The last one is needed at once: it stays.
Blocks SegmentsOf(std::int32_t forward_count, std::int64_t segment_count) {
  Blocks blocks(static_cast<std::size_t>(forward_count));
  for (std::size_t op = 0; op < blocks.size(); ++op) {
    const std::int64_t segment = static_cast<std::int64_t>(op) * segment_count / forward_count;
    blocks[op] = segment == segment_count - 1 ? kNoBlock : static_cast<std::int32_t>(segment);
  }
  return blocks;
}

class SqrtNSolver : public Solver {
 public:
  std::string Name() const override { return "sqrt-n"; }

  SolveResult Solve(const Problem& problem, const SolveOptions& options) const override {
    RivalRun run(problem, options, "equal segments");
    if (run.IsOverWhenFlat()) return run.Take();
    const std::int32_t forward_count = run.border();
    std::vector<std::int64_t> counts = GeometricSteps(2, std::max(forward_count, 2), kCountSteps);
    counts.insert(counts.begin(), std::llround(std::sqrt(forward_count)));
    for (const std::int64_t count : counts) {
      if (run.IsOver()) break;
      run.OfferKept(KeepAcross(run.flat(), forward_count, SegmentsOf(forward_count, count)));
    }
    return run.Take();
  }
};

}  // namespace

std::unique_ptr<Solver> MakeSqrtNSolver() { return std::make_unique<SqrtNSolver>(); }

}  // namespace stint
