#include "benchmarks/plans.h"

#include "benchmarks/instances.h"
#include "ir/check_plan.h"
#include "ir/errors.h"
#include "simulator/simulator.h"

namespace stint::bench {

PlanAnswer PlanShipped(const std::string& solver, std::int64_t percent, std::int64_t work_limit) {
  return MakePlan(ShippedProfile(),
                  {.budget_bytes = ShippedBudget(percent) + OverheadBytes(ShippedProfile()),
                   .solver = solver,
                   .options = {.time_limit_s = 10, .work_limit = work_limit}});
}

void ReportPlan(benchmark::State& state, const PlanAnswer& answer) {
  if (!answer.plan) {
    state.SkipWithError("there is no plan");
    return;
  }
  const Plan& plan = *answer.plan;
  try {
    CheckPlan(ShippedProfile(), plan);
  } catch (const InputError& error) {
    state.SkipWithError((std::string("wrong: ") + error.what()).c_str());
    return;
  }
  if (Simulate(ShippedProfile(), plan).duration_ns != plan.duration_ns ||
      plan.overhead_bytes + plan.arena_bytes > plan.budget_bytes) {
    state.SkipWithError("wrong: the plan does not keep what it says");
    return;
  }
  const auto base_ns = static_cast<double>(plan.keep_all_duration_ns);
  state.counters["peak_bytes"] = static_cast<double>(plan.peak_bytes);
  state.counters["arena_bytes"] = static_cast<double>(plan.arena_bytes);
  state.counters["overhead_percent"] = 100 * (static_cast<double>(plan.duration_ns) / base_ns - 1);
  state.counters["gap_percent"] =
      100 * static_cast<double>(plan.duration_ns - plan.lower_bound_ns) / base_ns;
}

}  // namespace stint::bench
