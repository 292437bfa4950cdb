#include "planner/bounds.h"
#include "planner/schedule.h"
#include "planner/solvers.h"

namespace stint {
namespace {

class KeepAllSolver : public Solver {
 public:
  std::string Name() const override { return "keep-all"; }

  SolveResult Solve(const Problem& problem, const SolveOptions&) const override {
    const Program program = MakeProgram(problem.profile, problem.effects);
    const Bounds bounds = ProveBounds(problem.profile, program);
    SolveResult result{.lower_bound_ns = bounds.duration_ns,
                       .min_budget_bytes = bounds.budget_bytes,
                       .binding = bounds.binding,
                       .certificate = bounds.certificate,
                       .parts = {"keep-all"}};
    Schedule schedule = KeepAllSchedule(problem.profile, program);
    const ScheduleTotals totals = Measure(problem.profile, program, schedule);
    if (totals.peak_bytes <= problem.budget_bytes) {
      result.status = SolveStatus::kOptimal;  // No plan is faster than each op once.
      result.schedule = std::move(schedule);
      result.peak_bytes = totals.peak_bytes;
      result.duration_ns = totals.duration_ns;
    } else {
      result.status = bounds.budget_bytes > problem.budget_bytes ? SolveStatus::kInfeasible
                                                                 : SolveStatus::kUnknown;
    }
    return result;
  }
};

}  // namespace

std::unique_ptr<Solver> MakeKeepAllSolver() { return std::make_unique<KeepAllSolver>(); }

}  // namespace stint
