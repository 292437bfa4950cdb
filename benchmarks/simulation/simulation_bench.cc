// A plan on paper: how long the simulator and the checker take for it.
#include <benchmark/benchmark.h>

#include "benchmarks/instances.h"
#include "benchmarks/plans.h"
#include "ir/check_plan.h"
#include "simulator/simulator.h"

namespace stint::bench {
namespace {

constexpr std::int64_t kWorkLimit = 2'000'000;

/// The plan for `percent`, made once.
const PlanAnswer& AnswerFor(std::int64_t percent) {
  static const PlanAnswer ample = PlanShipped("greedy", 90, kWorkLimit);
  static const PlanAnswer tight = PlanShipped("search", 70, kWorkLimit);
  return percent == 90 ? ample : tight;
}

void Simulation(benchmark::State& state) {
  const PlanAnswer& answer = AnswerFor(state.range(0));
  ReportPlan(state, answer);
  for ([[maybe_unused]] const auto iteration : state) {
    benchmark::DoNotOptimize(Simulate(ShippedProfile(), *answer.plan));
  }
}
BENCHMARK(Simulation)->ArgName("budget_percent")->Arg(90)->Arg(70)->Unit(benchmark::kMillisecond);

void Checking(benchmark::State& state) {
  const PlanAnswer& answer = AnswerFor(state.range(0));
  ReportPlan(state, answer);
  for ([[maybe_unused]] const auto iteration : state) {
    CheckPlan(ShippedProfile(), *answer.plan);
  }
}
BENCHMARK(Checking)->ArgName("budget_percent")->Arg(90)->Arg(70)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace stint::bench
