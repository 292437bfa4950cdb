// Plans that benchmarks time something on, or time the making of; none goes unchecked.
#pragma once

#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>

#include "planner/make_plan.h"

namespace stint::bench {

/// A plan of the shipped profile; the same on every machine.
PlanAnswer PlanShipped(const std::string& solver, std::int64_t percent, std::int64_t work_limit);

/// Ends `state` with an error unless there is a plan, CheckPlan accepts it, it keeps its budget,
/// and the simulator agrees with its time. Sets the counters peak_bytes, overhead_percent and
/// gap_percent.
void ReportPlan(benchmark::State& state, const PlanAnswer& answer);

}  // namespace stint::bench
