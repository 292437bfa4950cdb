// From a workload to what can be executed: its profile and a plan of it, from the cache where it
// has them.
#pragma once

#include <cstdint>
#include <optional>

#include "cli/plan_cache.h"
#include "dispatch/device_runtime.h"
#include "ir/plan.h"
#include "ir/profile.h"
#include "planner/make_plan.h"

namespace stint {

struct PrepareRequest {
  Workload workload{};                         // Complete.
  bool is_deterministic = false;               // With deterministic kernels.
  std::optional<std::int64_t> budget_bytes{};  // Of the whole process; nothing: as much as it
                                               // takes, on a GPU as much as is free there.
  bool has_snapshot = false;                   // As in PlanRequest.
  std::int64_t host_budget_bytes = 0;          //
  double time_limit_s = 60;                    // Of the planner, where recomputing or copying
                                               // must be decided.
};

struct Prepared {
  Profile profile{};
  PlanRequest plan_request{};  // What the planner was asked, for saying a "no".
  PlanAnswer answer{};         // Its plan passed CheckPlan.
  bool has_cached_profile = false;
  bool has_cached_plan = false;
  std::int64_t profile_ns = 0;  // Spent on finding or recording it;
  std::int64_t plan_ns = 0;     // on finding or making this.
};

/// Shows progress on the terminal. A cache that cannot be written is one line on stderr.
/// @throws InputError as RecordProfile and MakePlan do.
Prepared Prepare(const PrepareRequest& request, const PlanCache& cache, DeviceRuntime& runtime);

}  // namespace stint
