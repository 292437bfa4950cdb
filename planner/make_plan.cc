#include "planner/make_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "ir/check_certificate.h"
#include "ir/check_plan.h"
#include "ir/errors.h"
#include "ir/units.h"
#include "planner/arena.h"
#include "planner/bounds.h"
#include "planner/early_updates.h"
#include "planner/program.h"
#include "planner/schedule.h"
#include "planner/snapshot.h"

namespace stint {
namespace {

using Clock = std::chrono::steady_clock;

// Where there is no budget: the largest amount of bytes that plans may name.
constexpr std::int64_t kPlentyBytes = std::int64_t{1} << 60;
// After Ctrl-C: so long a schedule whose arena came out too high is mended.
constexpr double kMendingS = 5;
// So long at least a schedule is packed that will not be made again.
constexpr double kPackingS = 2;
// A schedule whose arena came out too high is made again for so much less, as parts of what may
// move: at first for no less, because another schedule packs otherwise and each byte given up is
// paid for with recomputation. Later rounds give up what was lost between the blocks.
constexpr double kGivenUpParts[] = {0, 0, 0.0025, 0.01};
constexpr std::size_t kRoundLimit = 10;
// A round takes so long at least, even after the time limit: late is better than no plan.
constexpr double kLeastRoundS = 0.3;

// Where the arena is limited: part of the time that the first schedule may take, and of what is
// left then that each further one may, and that each packing may.
constexpr double kFirstRoundPart = 0.8;
constexpr double kNextRoundPart = 0.2;
constexpr double kPackingPart = 0.2;
// Rounds draw other random numbers; seeds of users are smaller than this.
constexpr std::int64_t kSeedsApart = std::int64_t{1} << 32;

// A plan that copies is made again where it needs larger page tables than was thought.
constexpr int kCopyRoundLimit = 3;

/// 0 for 0, which is no limit; else at least 1.
std::int64_t PartOf(std::int64_t work, double part) {
  return work <= 0 ? 0 : static_cast<std::int64_t>(part * static_cast<double>(work)) + 1;
}

struct PlacedSchedule {
  SolveResult result{};
  Arena arena{};
};

double TimeLeftS(const PlanRequest& request, Clock::time_point begin) {
  return request.options.time_limit_s - std::chrono::duration<double>(Clock::now() - begin).count();
}

/// A schedule that was stopped, or is the only one, is packed well whatever the time.
PackingOptions MakePackingOptions(const PlanRequest& request, std::int64_t arena_limit_bytes,
                                  double time_left_s) {
  const std::atomic<bool>* stop = request.options.stop;
  if (stop != nullptr && stop->load()) return {.time_limit_s = kPackingS};
  if (!request.limits_arena) {
    return {.time_limit_s = std::max(time_left_s, kPackingS), .stop = stop};
  }
  // The clock may end a search that only work limits, but not steer it.
  const double part = request.options.work_limit > 0 ? 1 : kPackingPart;
  return {.goal_bytes = arena_limit_bytes,
          .time_limit_s = std::max(part * time_left_s, kPackingPart * kPackingS),
          .stop = stop};
}

/// Raises `bounds` to what the solver proves of plans that take `limit_bytes`, and to what a
/// floating-point solver claims. A claim that the plan itself refutes is none.
void AddProofs(const SolveResult& result, std::int64_t limit_bytes, Bounds& bounds) {
  if (result.proven_bound_ns > bounds.duration_ns) {
    bounds.duration_ns = result.proven_bound_ns;
    bounds.certificate = result.proof;
  }
  std::int64_t claimed_ns = result.claimed_bound_ns;
  if (result.schedule) {
    constexpr double kDoubt = 1e-6;
    const std::int64_t above_ns = claimed_ns - result.duration_ns;
    if (static_cast<double>(above_ns) > kDoubt * static_cast<double>(result.duration_ns)) return;
    claimed_ns = std::min(claimed_ns, result.duration_ns);
  }
  if (claimed_ns <= bounds.duration_ns) return;
  Certificate& certificate = bounds.certificate;
  if (certificate.method != "cuts") {
    certificate.method = "cuts";
    certificate.limit_bytes = limit_bytes;
  }
  certificate.claimed_ns = claimed_ns - bounds.duration_ns;
  certificate.claimed_cuts = result.claimed_cuts;
  bounds.duration_ns = claimed_ns;
}

std::int64_t SnapshotBytes(const Profile& profile, const PlanRequest& request) {
  return request.has_snapshot ? PlaceSnapshot(profile).size_bytes : 0;
}

/// What the page tables of `host_bytes` take.
std::int64_t TableBytes(const Profile& profile, std::int64_t host_bytes) {
  return OverheadBytes(profile, host_bytes) - OverheadBytes(profile);
}

/// Twice what does not fit is on the host, as a rule less.
std::int64_t LikelyHostBytes(const Profile& profile, const Program& program,
                             std::int64_t arena_limit_bytes) {
  const std::int64_t peak_bytes =
      Measure(profile, program, KeepAllSchedule(profile, program)).peak_bytes;
  return 2 * std::max<std::int64_t>(peak_bytes - arena_limit_bytes, 0);
}

/// Asks a solver that gives addresses itself, for an arena that leaves room for the page tables of
/// what it puts on the host.
PlacedSchedule SolveWithPlaces(const Profile& profile, const Program& program,
                               const std::vector<OpEffects>& effects, const Solver& solver,
                               const PlanRequest& request, std::int64_t arena_limit_bytes) {
  std::optional<std::int64_t> pool_limit_bytes;
  if (request.host_budget_bytes > 0) {
    pool_limit_bytes = request.host_budget_bytes - SnapshotBytes(profile, request);
  }
  std::int64_t host_bytes = LikelyHostBytes(profile, program, arena_limit_bytes);
  PlacedSchedule placed{};
  for (int round = 0; round < kCopyRoundLimit; ++round) {
    const std::int64_t budget_bytes = arena_limit_bytes - TableBytes(profile, host_bytes);
    placed.result = solver.Solve({.profile = profile,
                                  .effects = effects,
                                  .budget_bytes = budget_bytes,
                                  .host_bytes = pool_limit_bytes},
                                 request.options);
    if (!placed.result.schedule) {
      if (host_bytes == 0 || round > 0) return placed;
      host_bytes = 0;  // Perhaps there is a plan that needs no tables.
      continue;
    }
    SchedulePlaces& places = *placed.result.schedule->places;
    host_bytes = places.host_bytes;
    if (places.arena_bytes + TableBytes(profile, host_bytes) > arena_limit_bytes) {
      continue;
    }
    placed.arena = {.initial = std::move(places.initial),
                    .arena_bytes = places.arena_bytes,
                    .peak_bytes = placed.result.peak_bytes};
    return placed;
  }
  placed.result.schedule.reset();
  placed.result.status = SolveStatus::kUnknown;
  return placed;
}

/// Solves and places until the arena fits `arena_limit_bytes`. Without a schedule in the result if
/// it never does: infeasible if the first answer was, else unknown.
PlacedSchedule SolveAndPlace(const Profile& profile, const Program& program,
                             const std::vector<OpEffects>& effects, const PlanRequest& request,
                             std::int64_t arena_limit_bytes) {
  const std::unique_ptr<Solver> solver = MakeSolver(request.solver);
  if (solver->MakesCopies(profile)) {
    return SolveWithPlaces(profile, program, effects, *solver, request, arena_limit_bytes);
  }
  const Clock::time_point begin = Clock::now();
  Bounds bounds = ProveBoundsWithin(
      profile, program, MakeProgram(profile, effects, EarlyUpdateOrder(profile, effects)),
      arena_limit_bytes);
  if (bounds.budget_bytes > arena_limit_bytes) {
    return {.result = {.status = SolveStatus::kInfeasible,
                       .min_budget_bytes = bounds.budget_bytes,
                       .binding = bounds.binding}};
  }
  SolveOptions options = request.options;
  // Proving has its part of the time, but there is always some to plan in; and if the arena counts,
  // some to mend in.
  constexpr double kLeastPart = 0.2;
  options.time_limit_s =
      std::max(TimeLeftS(request, begin), kLeastPart * request.options.time_limit_s);
  std::int64_t work_left = request.options.work_limit;
  if (request.limits_arena) {
    options.time_limit_s *= kFirstRoundPart;
    options.work_limit = PartOf(work_left, kFirstRoundPart);
  }
  PlacedSchedule placed{};
  std::int64_t budget_bytes = arena_limit_bytes;
  Schedule start{};
  for (std::size_t round = 0; round < kRoundLimit; ++round) {
    options.seed = request.options.seed + static_cast<std::int64_t>(round) * kSeedsApart;
    const Problem problem{.profile = profile,
                          .effects = effects,
                          .budget_bytes = budget_bytes,
                          .lower_bound_ns = bounds.duration_ns,
                          .wants_bound = round == 0,
                          .start = round == 0 ? nullptr : &start};
    placed.result = solver->Solve(problem, options);
    // What a solver proves of less than the whole budget does not hold for all of it.
    if (round == 0) AddProofs(placed.result, arena_limit_bytes, bounds);
    placed.result.lower_bound_ns = bounds.duration_ns;
    placed.result.certificate = bounds.certificate;
    placed.result.min_budget_bytes = bounds.budget_bytes;
    placed.result.binding = bounds.binding;
    if (!placed.result.schedule) {
      break;
    }
    placed.result.status = placed.result.duration_ns == bounds.duration_ns ? SolveStatus::kOptimal
                                                                           : SolveStatus::kFeasible;
    placed.arena =
        PlaceInArena(profile, program, *placed.result.schedule,
                     MakePackingOptions(request, arena_limit_bytes, TimeLeftS(request, begin)));
    Check(placed.arena.peak_bytes == placed.result.peak_bytes,
          "the packer's load is the schedule's peak");
    if (placed.arena.arena_bytes <= arena_limit_bytes || !request.limits_arena) {
      return placed;
    }
    const auto movable_bytes = static_cast<double>(arena_limit_bytes - program.persistent_bytes);
    const double time_left_s = TimeLeftS(request, begin);
    budget_bytes = round + 1 < std::size(kGivenUpParts) && time_left_s > 0
                       ? arena_limit_bytes -
                             static_cast<std::int64_t>(kGivenUpParts[round + 1] * movable_bytes)
                       : std::min(budget_bytes, placed.result.peak_bytes) -
                             (placed.arena.arena_bytes - arena_limit_bytes);
    start = *std::exchange(placed.result.schedule, std::nullopt);
    options.time_limit_s = std::max(kNextRoundPart * time_left_s, kLeastRoundS);
    work_left -= placed.result.step_count;
    options.work_limit = PartOf(work_left, kNextRoundPart);
    if (options.stop != nullptr && options.stop->load()) {
      options.stop = nullptr;
      options.time_limit_s = std::min(options.time_limit_s, kMendingS);
    }
    const bool is_work_spent = request.options.work_limit > 0 && work_left <= 0;
    if (is_work_spent || budget_bytes <= 0) {
      break;
    }
  }
  placed.result.status = SolveStatus::kUnknown;  // No bound says that it cannot be done.
  return placed;
}

Plan MakePlanOf(const Profile& profile, const Program& program, const PlanRequest& request,
                PlacedSchedule placed) {
  const std::int64_t host_bytes =
      placed.result.schedule->places ? placed.result.schedule->places->host_bytes : 0;
  SnapshotPlaces snapshot = request.has_snapshot ? PlaceSnapshot(profile) : SnapshotPlaces{};
  const std::int64_t overhead_bytes =
      OverheadBytes(profile, host_bytes) + TableBytes(profile, snapshot.size_bytes);
  const std::int64_t used_bytes = overhead_bytes + placed.arena.arena_bytes;
  const ScheduleTotals keep_all = Measure(profile, program, KeepAllSchedule(profile, program));
  Plan plan{
      .profile_sha256 = ProfileSha256(profile),
      .solver = request.solver,
      .solver_parts = std::move(placed.result.parts),
      .seed = request.options.seed,
      .status = placed.result.status == SolveStatus::kOptimal ? PlanStatus::kOptimal
                                                              : PlanStatus::kFeasible,
      .budget_bytes = request.has_budget ? std::max(request.budget_bytes, used_bytes) : used_bytes,
      .host_budget_bytes = request.host_budget_bytes,
      .overhead_bytes = overhead_bytes,
      .arena_bytes = placed.arena.arena_bytes,
      .peak_bytes = placed.arena.peak_bytes,
      .snapshot_bytes = snapshot.size_bytes,
      .duration_ns = placed.result.duration_ns,
      .keep_all_duration_ns = keep_all.duration_ns,
      .keep_all_peak_bytes = keep_all.peak_bytes,
      .lower_bound_ns = placed.result.lower_bound_ns,
      .certificate = placed.result.certificate,
      .initial = std::move(placed.arena.initial),
      .snapshot = std::move(snapshot.places),
      .phases = std::move(placed.result.schedule->phases)};
  if (placed.result.schedule->places) {
    SchedulePlaces& places = *placed.result.schedule->places;
    plan.host = std::move(places.host);
    plan.shards = std::move(places.shards);
    plan.host_bytes = host_bytes;
  }
  return plan;
}

}  // namespace

PlanAnswer MakePlan(const Profile& profile, const PlanRequest& request) {
  const Clock::time_point begin = Clock::now();
  Validate(profile);
  const std::vector<OpEffects> effects = DeriveEffects(profile);
  const Program program = MakeProgram(profile, effects);
  const std::int64_t snapshot_bytes = SnapshotBytes(profile, request);
  const bool has_host_budget = request.host_budget_bytes > 0;
  if (has_host_budget && snapshot_bytes > request.host_budget_bytes) {
    return {.status = SolveStatus::kInfeasible, .min_host_bytes = snapshot_bytes};
  }
  const std::int64_t overhead_bytes = OverheadBytes(profile) + TableBytes(profile, snapshot_bytes);
  const std::int64_t budget_bytes = request.has_budget ? request.budget_bytes : kPlentyBytes;
  PlacedSchedule placed =
      SolveAndPlace(profile, program, effects, request, budget_bytes - overhead_bytes);
  PlanAnswer answer{.status = placed.result.status,
                    .min_budget_bytes = placed.result.min_budget_bytes + overhead_bytes,
                    .binding = placed.result.binding};
  if (overhead_bytes > 0) {
    answer.binding += fmt::format("; {} lie outside the arena", FormatBytes(overhead_bytes));
  }
  if (placed.result.schedule && has_host_budget) {
    // Of solvers that do not know the limit.
    const auto& places = placed.result.schedule->places;
    const std::int64_t host_bytes = snapshot_bytes + (places ? places->host_bytes : 0);
    if (host_bytes > request.host_budget_bytes) {
      return {.status = SolveStatus::kUnknown, .min_host_bytes = host_bytes};
    }
  }
  if (placed.result.schedule) {
    answer.plan = MakePlanOf(profile, program, request, std::move(placed));
    CheckPlan(profile, *answer.plan);
    CheckCertificate(profile, *answer.plan);
    answer.plan->context.wall_time_ns =
        std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begin).count();
  }
  return answer;
}

std::int64_t OverheadBytes(const Profile& profile, std::int64_t host_bytes) {
  constexpr std::int64_t kBytesPerEntryByte = 4096 / 8;
  constexpr std::int64_t kBlockBytes = 2 << 20;
  const std::int64_t block_count =
      host_bytes == 0 || profile.device.graph_node_bytes == 0
          ? 0
          : host_bytes / kBytesPerEntryByte / kBlockBytes + 2;  // The first and the last in part.
  return profile.device.overhead_bytes +
         profile.device.graph_node_bytes * static_cast<std::int64_t>(profile.ops.size()) +
         block_count * kBlockBytes;
}

}  // namespace stint
