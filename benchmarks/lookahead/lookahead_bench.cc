// One schedule, op by op, beside the one that keeps everything.
#include <benchmark/benchmark.h>

#include <limits>
#include <optional>

#include "benchmarks/instances.h"
#include "planner/lookahead.h"
#include "planner/schedule.h"

namespace stint::bench {
namespace {

void Lookahead(benchmark::State& state) {
  const Profile& profile = ShippedProfile();
  const Program program = MakeProgram(profile, ShippedEffects());
  const std::int64_t budget_bytes = ShippedBudget(state.range(0));
  const auto build = [&] {
    WorkMeter work({.time_limit_s = 600});
    return BuildLookahead(profile, program, budget_bytes, {},
                          std::numeric_limits<std::int64_t>::max(), work);
  };
  const std::optional<Schedule> schedule = build();
  if (!schedule || Measure(profile, program, *schedule).peak_bytes > budget_bytes) {
    state.SkipWithError("wrong: no schedule within the budget");
  }
  for ([[maybe_unused]] const auto iteration : state) {
    benchmark::DoNotOptimize(build());
  }
  if (schedule) {
    const ScheduleTotals totals = Measure(profile, program, *schedule);
    state.counters["peak_bytes"] = static_cast<double>(totals.peak_bytes);
    state.counters["overhead_percent"] =
        100 *
        (static_cast<double>(totals.duration_ns) / static_cast<double>(KeepAllDurationNs(profile)) -
         1);
  }
}
BENCHMARK(Lookahead)->ArgName("budget_percent")->Arg(90)->Arg(70)->Unit(benchmark::kMillisecond);

void KeepAll(benchmark::State& state) {
  const Program program = MakeProgram(ShippedProfile(), ShippedEffects());
  for ([[maybe_unused]] const auto iteration : state) {
    benchmark::DoNotOptimize(KeepAllSchedule(ShippedProfile(), program));
  }
}
BENCHMARK(KeepAll)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace stint::bench
