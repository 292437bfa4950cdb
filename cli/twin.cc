#include "cli/twin.h"

#include <map>
#include <string>
#include <vector>

#include "models/workload.h"
#include "profiler/profiler.h"

namespace stint {
namespace {

// What is compared is results: any plan of the kind does, and `run` should not take a minute more.
constexpr double kPlanningS = 10;

/// The k-th op of a name takes as long as the k-th op of that name in `timed`, or as the last.
void CopyDurations(const Profile& timed, Profile& profile) {
  std::map<std::string, std::vector<std::int64_t>> durations;
  for (const Op& op : timed.ops) durations[op.name].push_back(op.duration_ns);
  std::map<std::string, std::size_t> used;
  for (Op& op : profile.ops) {
    const auto found = durations.find(op.name);
    if (found == durations.end()) continue;
    const std::size_t index = std::min(used[op.name]++, found->second.size() - 1);
    op.duration_ns = found->second[index];
  }
}

}  // namespace

Twin MakeTwin(const Profile& profile, const Plan& plan, DeviceRuntime& runtime) {
  if (profile.is_deterministic) {
    return {.profile = profile, .answer = {.status = SolveStatus::kFeasible, .plan = plan}};
  }
  Twin twin = {.profile = RecordProfile(BuildProgram(profile.workload), profile.workload, runtime,
                                        {.is_deterministic = true, .with_times = false})};
  CopyDurations(profile, twin.profile);
  // The same room for the arena: what this process takes beside it is not the plan's business.
  twin.answer = MakePlan(
      twin.profile,
      {.budget_bytes = plan.budget_bytes - plan.overhead_bytes + OverheadBytes(twin.profile),
       .solver = plan.solver,
       .options = {.time_limit_s = kPlanningS, .seed = plan.seed}});
  return twin;
}

}  // namespace stint
