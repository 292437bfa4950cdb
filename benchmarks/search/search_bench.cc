// From profile and budget to a checked plan, by every solver within the same number of its steps.
#include <benchmark/benchmark.h>

#include <memory>
#include <string>

#include "benchmarks/plans.h"
#include "planner/solver.h"

namespace stint::bench {
namespace {

constexpr std::int64_t kWorkLimit = 1'000'000;

void Run(benchmark::State& state, const std::string& solver, std::int64_t percent) {
  ReportPlan(state, PlanShipped(solver, percent, kWorkLimit));
  for ([[maybe_unused]] const auto iteration : state) {
    benchmark::DoNotOptimize(PlanShipped(solver, percent, kWorkLimit));
  }
}

bool RegisterAll() {
  for (const std::unique_ptr<Solver>& solver : AllSolvers()) {
    const std::string name = solver->Name();
    const std::int64_t percent = name == "keep-all" ? 101 : 70;
    benchmark::RegisterBenchmark(
        ("Solve/sd15_b4/" + name + "/budget:" + std::to_string(percent) + "pct").c_str(),
        [name, percent](benchmark::State& state) { Run(state, name, percent); })
        ->Unit(benchmark::kMillisecond)
        ->UseRealTime();
  }
  return true;
}

[[maybe_unused]] const bool kIsRegistered = RegisterAll();

}  // namespace
}  // namespace stint::bench
