#include "cli/prepare.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>
#include <utility>

#include "cli/artifacts.h"
#include "cli/progress.h"
#include "ir/errors.h"
#include "models/workload.h"
#include "profiler/profiler.h"

namespace stint {
namespace {

using Clock = std::chrono::steady_clock;

std::int64_t NanosecondsSince(Clock::time_point begin) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begin).count();
}

/// The work is done either way.
void TryToKeep(const std::function<void()>& keep) {
  try {
    keep();
  } catch (const InputError& error) {
    fmt::print(stderr, "stint: not kept for the next time: {}\n", error.what());
  }
}

Profile Record(const PrepareRequest& request, DeviceRuntime& runtime) {
  const auto begin = Clock::now();
  Progress progress("profiling", "ops");
  Profile profile =
      RecordProfile(BuildProgram(request.workload), request.workload, runtime,
                    {.is_deterministic = request.is_deterministic,
                     .on_op = [&](std::int64_t count) { progress.Update(count, 0); }});
  const std::int64_t peak_memory_bytes = profile.context.peak_memory_bytes;
  profile.context = MakeContext(begin);
  profile.context.peak_memory_bytes = peak_memory_bytes;
  return profile;
}

/// What the process may take on a GPU where others take something already, in steps of a quarter
/// of a GiB, so that the same is asked again next time.
std::int64_t FreeBytes(const Profile& profile, const DeviceRuntime& runtime) {
  constexpr std::int64_t kStepBytes = std::int64_t{256} << 20;
  const std::int64_t of_others_bytes =
      std::max<std::int64_t>(runtime.ProcessBytes() - profile.device.overhead_bytes, 0);
  return (profile.device.memory_bytes - of_others_bytes) / kStepBytes * kStepBytes;
}

PlanAnswer Solve(const Profile& profile, const PlanRequest& request) {
  Progress progress("planning", "steps");
  progress.Update(0, 0);
  return MakePlan(profile, request);
}

/// Keeps everything if that fits: no plan is faster. Else decides what is recomputed and copied.
void MakeAnswer(const PrepareRequest& request, const DeviceRuntime& runtime, Prepared& prepared) {
  const Profile& profile = prepared.profile;
  PlanRequest& plan_request = prepared.plan_request;
  plan_request = {.budget_bytes = request.budget_bytes.value_or(0),
                  .has_budget = request.budget_bytes.has_value(),
                  .solver = "keep-all",
                  .has_snapshot = request.has_snapshot,
                  .host_budget_bytes = request.host_budget_bytes};
  prepared.answer = Solve(profile, plan_request);
  if (!plan_request.has_budget && profile.device.kind == DeviceKind::kCuda) {
    if (!prepared.answer.plan) return;  // The host budget's fault.
    const std::int64_t free_bytes = FreeBytes(profile, runtime);
    if (prepared.answer.plan->budget_bytes > free_bytes) {
      plan_request.budget_bytes = free_bytes;
      plan_request.has_budget = true;
      prepared.answer.plan.reset();
    }
  }
  if (prepared.answer.plan || !plan_request.has_budget) return;
  plan_request.solver = "joint";
  plan_request.options.time_limit_s = request.time_limit_s;
  prepared.answer = Solve(profile, plan_request);
}

}  // namespace

Prepared Prepare(const PrepareRequest& request, const PlanCache& cache, DeviceRuntime& runtime) {
  Prepared prepared;
  const Device device = runtime.Identify();
  auto begin = Clock::now();
  if (std::optional<Profile> found =
          cache.FindProfile(request.workload, device, request.is_deterministic)) {
    prepared.profile = std::move(*found);
    prepared.has_cached_profile = true;
  } else {
    prepared.profile = Record(request, runtime);
    TryToKeep([&] { cache.Keep(prepared.profile, device); });
  }
  prepared.profile_ns = NanosecondsSince(begin);

  begin = Clock::now();
  std::string words =
      request.budget_bytes ? fmt::format("{} B", *request.budget_bytes) : "what is free";
  if (request.has_snapshot) words += ", with a snapshot";
  if (request.host_budget_bytes > 0) {
    words += fmt::format(", {} B of the host", request.host_budget_bytes);
  }
  if (std::optional<Plan> found = cache.FindPlan(prepared.profile, words)) {
    prepared.answer = {.status = SolveStatus::kFeasible, .plan = std::move(found)};
    prepared.has_cached_plan = true;
  } else {
    MakeAnswer(request, runtime, prepared);
    if (prepared.answer.plan) {
      prepared.answer.plan->context = MakeContext(begin);
      TryToKeep([&] { cache.Keep(prepared.profile, words, *prepared.answer.plan); });
    }
  }
  prepared.plan_ns = NanosecondsSince(begin);
  return prepared;
}

}  // namespace stint
