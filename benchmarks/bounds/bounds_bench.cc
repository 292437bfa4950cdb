// What no plan can beat: how long the proof takes, and how much it proves.
#include <benchmark/benchmark.h>

#include "benchmarks/instances.h"
#include "planner/bounds.h"
#include "planner/early_updates.h"
#include "planner/program.h"
#include "planner/solver.h"

namespace stint::bench {
namespace {

void Report(benchmark::State& state, const Bounds& bounds) {
  const auto keep_all_ns = KeepAllDurationNs(ShippedProfile());
  if (bounds.duration_ns < keep_all_ns) {
    state.SkipWithError("wrong: the bound is below each op once");
  }
  state.counters["bound_percent"] =
      100 * (static_cast<double>(bounds.duration_ns) / static_cast<double>(keep_all_ns) - 1);
}

void OneOp(benchmark::State& state) {
  const Program program = MakeProgram(ShippedProfile(), ShippedEffects());
  for ([[maybe_unused]] const auto iteration : state) {
    benchmark::DoNotOptimize(ProveBounds(ShippedProfile(), program));
  }
  Report(state, ProveBounds(ShippedProfile(), program));
}
BENCHMARK(OneOp)->Unit(benchmark::kMillisecond);

void BestCut(benchmark::State& state) {
  const Program recorded = MakeProgram(ShippedProfile(), ShippedEffects());
  const Program early = MakeProgram(ShippedProfile(), ShippedEffects(),
                                    EarlyUpdateOrder(ShippedProfile(), ShippedEffects()));
  const std::int64_t budget_bytes = ShippedBudget(state.range(0));
  const auto prove = [&] {
    return ProveBoundsWithin(ShippedProfile(), recorded, early, budget_bytes);
  };
  for ([[maybe_unused]] const auto iteration : state) {
    benchmark::DoNotOptimize(prove());
  }
  Report(state, prove());
}
BENCHMARK(BestCut)->ArgName("budget_percent")->Arg(90)->Arg(60)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace stint::bench
