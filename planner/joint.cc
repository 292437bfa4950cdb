#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iterator>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "ir/units.h"
#include "planner/arena.h"
#include "planner/early_updates.h"
#include "planner/joint_bound.h"
#include "planner/joint_emit.h"
#include "planner/joint_limits.h"
#include "planner/joint_windows.h"
#include "planner/linear_program.h"
#include "planner/paged_arena.h"
#include "planner/paged_program.h"
#include "planner/paged_timing.h"
#include "planner/phase_search.h"
#include "planner/solvers.h"

namespace stint {
namespace {

constexpr std::int64_t kUnitBytes = 512;
// After so much of what the chains may use they go on with so much less room for early fetches as
// addresses then take too much.
constexpr double kLooksAtAddresses[] = {0.5, 0.65, 0.8, 0.9};
// Of the limits: for a plan without copies, where there is one.
constexpr double kWithoutCopiesPart = 0.2;
// Of the time: for the bound.
constexpr double kBoundPart = 0.25;
// Of the memory, for the relaxation to choose starts by, the best ones first; of the time, for the
// first few and for the others.
constexpr std::int64_t kGuidePercents[] = {80, 70, 90, 60, 50, 95, 75, 85, 65, 55, 97, 45, 40};
constexpr std::size_t kFirstGuides = 6;
constexpr double kFirstGuidesPart = 0.3;
constexpr double kGuidesPart = 0.1;
// Persistent bytes are cut into so many shards.
constexpr std::int64_t kShardCount = 800;
constexpr std::int64_t kLeastShardBytes = std::int64_t{1} << 20;
constexpr std::int64_t kMostShardBytes = std::int64_t{24} << 20;
// Times that a plan whose arena came out too high is made again for less.
constexpr int kRoundLimit = 12;
constexpr std::int64_t kMendingMoveCount = 200;
// Of a plan that fits: packings, of which the fastest counts, and orders between their first ones.
constexpr std::size_t kPlaceVariants = 6;
constexpr std::size_t kVariantStride = 4;
// Once the time is up, less is tried for a lower arena.
constexpr std::int64_t kLateReadLimit = 60'000'000;

/// What no plan can do with less: an op needs what it reads and its requests at once.
struct Floor {
  std::int64_t size_bytes = 0;
  std::string binding{};
};

void RaiseFloor(const Problem& problem, const PagedProgram& program, Floor& floor) {
  const std::int64_t pinned_bytes = program.pinned_units * kUnitBytes;
  std::vector<bool> moves(problem.profile.buffers.size(), false);
  for (const JointItem& item : program.items) {
    for (const BufferId id : item.members) {
      moves[Index(id)] = true;
    }
  }
  for (const PagedOp& op : program.ops) {
    std::int64_t read_bytes = 0;
    for (const Value& value : problem.effects[Index(op.id)].reads) {
      read_bytes += moves[Index(value.buffer)]
                        ? AlignUp(problem.profile.buffers[Index(value.buffer)].size_bytes)
                        : 0;
    }
    const std::int64_t size_bytes = pinned_bytes + read_bytes + op.script_units * kUnitBytes;
    if (size_bytes <= floor.size_bytes) {
      continue;
    }
    const Op& recorded = problem.profile.ops[Index(op.id)];
    floor.size_bytes = size_bytes;
    floor.binding = fmt::format(
        "while op {} ({}{}{}) runs, {} are in use: {} that it reads, {} that it asks for, {} that "
        "never move",
        Index(op.id), recorded.name, recorded.module.empty() ? "" : " in ", recorded.module,
        FormatBytes(size_bytes), FormatBytes(read_bytes), FormatBytes(op.script_units * kUnitBytes),
        FormatBytes(pinned_bytes));
  }
}

std::int64_t ShardBytesFor(const Profile& profile, const Program& program) {
  std::int64_t persistent_bytes = 0;
  for (const BufferId id : program.persistent) {
    persistent_bytes += AlignUp(profile.buffers[Index(id)].size_bytes);
  }
  return std::clamp(persistent_bytes / kShardCount, kLeastShardBytes, kMostShardBytes);
}

/// A plan with addresses.
struct Placed {
  PagedSchedule schedule{};
  PagedArena arena{};
  std::int64_t duration_ns = 0;
};

class Joint {
 public:
  Joint(const Problem& problem, const SolveOptions& options)
      : problem_(problem),
        options_(options),
        limits_(options),
        order_(MakeProgram(problem.profile, problem.effects,
                           EarlyUpdateOrder(problem.profile, problem.effects))) {}

  SolveResult Run() {
    result_.certificate = {.method = "none"};
    result_.status = SolveStatus::kUnknown;
    const std::int64_t shard_bytes = ShardBytesFor(problem_.profile, order_);
    MakePrograms(shard_bytes);
    Floor floor{};
    for (const PagedProgram& program : programs_) {
      RaiseFloor(problem_, program, floor);
    }
    // With little room on the host, the floor is that of a choice of what can move, and no proof.
    const bool is_proof = !problem_.host_bytes.has_value();
    if (is_proof) {
      result_.min_budget_bytes = floor.size_bytes;
      result_.binding = floor.binding;
    }
    if (floor.size_bytes > problem_.budget_bytes) {
      if (is_proof) result_.status = SolveStatus::kInfeasible;
      return std::move(result_);
    }
    unit_limits_ = {.all = LimitUnits(), .early = LimitUnits()};
    TryWithoutCopies();
    Prove();
    Start();
    // A shard is needed as a whole: close to the least budget only small ones fit.
    for (const std::int64_t finer : {4, 16, 64}) {
      if (!HasPlan()) {
        MakePrograms(shard_bytes / finer);
        Start();
      }
    }
    double begin = std::min(limits_.UsedPart(result_.step_count), kLooksAtAddresses[0] / 2);
    for (const double end : kLooksAtAddresses) {
      Search(begin, end);
      begin = end;
      if (HasPlan() && limits_.UsedPart(result_.step_count) < 1) {
        Placed placed = Place();
        MakeRoom(placed.arena);
        if (Fits(placed)) {
          OfferFastest(std::move(placed));
        }
        for (const std::unique_ptr<PhaseSearch>& search : searches_) {
          search->GoOnWithin(unit_limits_);
        }
      }
    }
    Search(begin, 1);
    Finish();
    UseBound();
    return std::move(result_);
  }

 private:
  void MakePrograms(std::int64_t shard_bytes) {
    const JointRules rules{.shard_bytes = shard_bytes, .host_bytes = problem_.host_bytes};
    searches_.clear();
    programs_.clear();
    table_ = MakeShards(problem_, order_, rules);
    programs_.reserve(problem_.profile.phases.size());  // Searches keep references.
    for (std::size_t i = 0; i < problem_.profile.phases.size(); ++i) {
      programs_.push_back(MakePagedProgram(problem_, order_, rules, table_, i));
    }
  }

  /// What no plan with copies and early updates can beat.
  void Prove() {
    if (!programs_.front().is_cycle) {
      return;
    }
    bound_ = ProveJointBound(problem_.profile, problem_.effects,
                             {.updates = UpdateOrder::kAtOnce,
                              .arena_bytes = problem_.budget_bytes,
                              .time_limit_s = kBoundPart * options_.time_limit_s,
                              .stop = options_.stop});
    if (!HasShards()) StartFromGuides();
  }

  /// What the relaxation makes again, for all memory and for less: it sees the peak alone, and not
  /// what copies and runs need beside what is kept.
  void StartFromGuides() {
    starts_.push_back(DropsOfGuide(programs_.front(), bound_.guide));
    if (!HasHighs()) return;
    const std::vector<std::int32_t> cuts =
        ChooseCuts(problem_.profile, problem_.effects, UpdateOrder::kAtOnce, 1, 0);
    const auto begin = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < std::size(kGuidePercents); ++i) {
      const std::chrono::duration<double> used = std::chrono::steady_clock::now() - begin;
      const double part = i < kFirstGuides ? kFirstGuidesPart : kGuidesPart;
      const double left_s = part * options_.time_limit_s - used.count();
      if (left_s <= 0) return;
      const JointBoundRequest request{
          .updates = UpdateOrder::kAtOnce,
          .arena_bytes = problem_.budget_bytes / 100 * kGuidePercents[i],
          .time_limit_s = left_s,
          .stop = options_.stop};
      const JointBound bound = ProveJointBoundAt(problem_.profile, problem_.effects, request, cuts);
      starts_.push_back(DropsOfGuide(programs_.front(), bound.guide));
    }
  }

  /// Weights may all fit: then a plan that only recomputes is one, and a start for others.
  void TryWithoutCopies() {
    SolveOptions options = options_;
    options.on_progress = {};
    options.time_limit_s *= kWithoutCopiesPart;
    options.work_limit =
        static_cast<std::int64_t>(static_cast<double>(options_.work_limit) * kWithoutCopiesPart) +
        (options_.work_limit > 0 ? 1 : 0);
    SolveResult found = MakeSearchSolver()->Solve(problem_, options);
    result_.step_count += found.step_count;
    if (!found.schedule) {
      return;
    }
    if (programs_.size() == 1) {
      starts_.push_back(DropsOfSchedule(programs_.front(), problem_.effects, *found.schedule));
    }
    Arena arena = PlaceInArena(problem_.profile, MakeProgram(problem_.profile, problem_.effects),
                               *found.schedule);
    if (arena.arena_bytes <= problem_.budget_bytes) {
      result_.parts = {"search"};
      result_.status = SolveStatus::kFeasible;
      result_.duration_ns = found.duration_ns;
      result_.peak_bytes = found.peak_bytes;
      result_.schedule.emplace();
      result_.schedule->phases = std::move(found.schedule->phases);
      SchedulePlaces& places = result_.schedule->places.emplace();
      places.initial = std::move(arena.initial);
      places.arena_bytes = arena.arena_bytes;
    }
  }

  bool HasShards() const {
    return std::ranges::any_of(programs_.front().items, &JointItem::is_shard);
  }

  void Start() {
    for (const PagedProgram& program : programs_) {
      searches_.push_back(std::make_unique<PhaseSearch>(program, starts_, options_.seed));
      searches_.back()->Start(unit_limits_);
    }
  }

  std::int32_t LimitUnits() const {
    return static_cast<std::int32_t>(std::min<std::int64_t>(
        problem_.budget_bytes / kUnitBytes, std::numeric_limits<std::int32_t>::max() / 2));
  }

  /// Phases one after another, each with its share of [begin, end) of the limits.
  void Search(double begin, double end) {
    const auto all_ops = static_cast<double>(problem_.profile.ops.size());
    double begin_part = begin;
    for (std::size_t i = 0; i < programs_.size(); ++i) {
      const double end_part =
          begin_part + (end - begin) * static_cast<double>(programs_[i].ops.size()) / all_ops;
      PhaseSearch& search = *searches_[i];
      const std::int64_t steps_before = result_.step_count - search.step_count();
      search.Cool(1 - begin, 1 - end, [&](std::int64_t move_count) {
        return limits_.UsedPart({.begin = begin_part, .end = end_part},
                                steps_before + search.step_count(), move_count);
      });
      result_.step_count = steps_before + search.step_count();
      begin_part = end_part;
    }
  }

  Placed Place(std::size_t variant = 0) const {
    std::vector<JointPhase> phases{};
    phases.reserve(searches_.size());
    for (const std::unique_ptr<PhaseSearch>& search : searches_) {
      phases.push_back(search->Phase());
    }
    Placed placed{.schedule = EmitJoint(problem_.profile, table_, phases)};
    PagedArenaOptions options{.enough_bytes = problem_.budget_bytes, .variant = variant};
    if (limits_.IsOver()) options.read_limit = kLateReadLimit;
    placed.arena = PlacePaged(problem_.profile, options, placed.schedule);
    placed.duration_ns = DurationOf(problem_.profile, placed.schedule, placed.arena.initial);
    return placed;
  }

  bool HasPlan() const {
    return std::all_of(searches_.begin(), searches_.end(),
                       [](const auto& search) { return search->state().has_plan; });
  }

  std::int32_t ExcessUnits(const PagedArena& arena) const {
    const std::int64_t excess_bytes = arena.arena_bytes - problem_.budget_bytes;
    return static_cast<std::int32_t>((excess_bytes + kUnitBytes - 1) / kUnitBytes);
  }

  /// Fetches that come early may do so a little later; what must be there cannot be less.
  void LeaveGaps(const PagedArena& arena) {
    unit_limits_.early = std::min(unit_limits_.all, unit_limits_.early - ExcessUnits(arena));
  }

  /// Without shards there is little that comes early.
  void MakeRoom(const PagedArena& arena) { HasShards() ? LeaveGaps(arena) : TakeOff(arena); }

  /// Other places may let copies wait less.
  void OfferFastest(Placed placed) {
    Offer(std::move(placed));
    for (std::size_t variant = 1; variant < kPlaceVariants && !limits_.IsOver(); ++variant) {
      Placed other = Place(variant * kVariantStride);
      if (Fits(other)) {
        Offer(std::move(other));
      }
    }
  }

  bool Fits(const Placed& placed) const {
    return placed.arena.arena_bytes <= problem_.budget_bytes;
  }

  void TakeOff(const PagedArena& arena, std::int32_t times = 1) {
    const std::int32_t excess_units = times * std::max(0, ExcessUnits(arena));
    unit_limits_.all -= excess_units;
    unit_limits_.early -= excess_units;
  }

  /// Gives addresses; what the arena takes too much comes off the plan's memory.
  void Finish() {
    for (int round = 0; round < kRoundLimit && HasPlan(); ++round) {
      Placed placed = Place(static_cast<std::size_t>(round) * kVariantStride);
      if (Fits(placed)) {
        OfferFastest(std::move(placed));
        return;
      }
      const bool is_over = limits_.IsOver();
      if (round < kRoundLimit / 3 && !is_over) {
        MakeRoom(placed.arena);
      } else {
        TakeOff(placed.arena, is_over ? 2 : 1);  // Late, once should do.
      }
      for (const std::unique_ptr<PhaseSearch>& search : searches_) {
        // Late, a worse plan soon is better than a good one later.
        search->Mend(unit_limits_, round < kRoundLimit / 2 && !is_over ? kMendingMoveCount : 0);
      }
    }
  }

  std::vector<PhasePlan> PhasesOf(PagedSchedule& schedule) const {
    std::vector<PhasePlan> phases(problem_.profile.phases.size());
    std::size_t begin = 0;
    for (std::size_t i = 0; i < schedule.parts.size(); ++i) {
      PhasePlan& phase = phases[i / 3];
      std::vector<Instruction>& part = i % 3 == 0   ? phase.prologue
                                       : i % 3 == 1 ? phase.body
                                                    : phase.epilogue;
      for (; begin < schedule.parts[i].end; ++begin) {
        part.push_back(std::move(schedule.instructions[begin]));
      }
    }
    return phases;
  }

  void Offer(Placed placed) {
    if (result_.schedule && result_.duration_ns <= placed.duration_ns) {
      return;
    }
    result_.parts = {"joint"};
    result_.status = SolveStatus::kFeasible;
    result_.duration_ns = placed.duration_ns;
    result_.peak_bytes = placed.arena.peak_bytes;
    result_.schedule.emplace();
    result_.schedule->phases = PhasesOf(placed.schedule);
    SchedulePlaces& places = result_.schedule->places.emplace();
    places.initial = std::move(placed.arena.initial);
    places.host = std::move(placed.schedule.host);
    places.shards = std::move(placed.schedule.shards);
    places.host_bytes = placed.schedule.host_bytes;
    places.arena_bytes = placed.arena.arena_bytes;
  }

  /// Plans without copies are of the bound's class, too, unless they run updates where they were
  /// recorded.
  void UseBound() {
    if (!result_.schedule || bound_.duration_ns == 0) {
      return;
    }
    std::vector<OpId> order{};
    std::vector<bool> has_run(problem_.profile.ops.size(), false);
    for (const PhasePlan& phase : result_.schedule->phases) {
      for (const auto* part : {&phase.prologue, &phase.body, &phase.epilogue}) {
        for (const Instruction& instruction : *part) {
          if (instruction.kind != InstructionKind::kCompute || has_run[Index(instruction.op)]) {
            continue;
          }
          has_run[Index(instruction.op)] = true;
          order.push_back(instruction.op);
        }
      }
    }
    if (order != EarlyUpdateOrder(problem_.profile, problem_.effects)) {
      return;
    }
    result_.parts.insert(result_.parts.begin(), bound_.part);
    result_.lower_bound_ns = bound_.duration_ns;
    result_.certificate = bound_.certificate;
    if (result_.duration_ns == result_.lower_bound_ns) {
      result_.status = SolveStatus::kOptimal;
    }
  }

  const Problem& problem_;
  const SolveOptions& options_;
  const JointLimits limits_;
  const Program order_;
  ShardTable table_{};
  std::vector<std::vector<std::uint8_t>> starts_{};       // Drops by item to begin with.
  std::vector<PagedProgram> programs_{};                  // By phase.
  std::vector<std::unique_ptr<PhaseSearch>> searches_{};  // By phase.
  JointBound bound_{};                                    // Empty if none is known.
  UnitLimits unit_limits_{};                              // For the bytes live at once.
  SolveResult result_{};
};

class JointSolver : public Solver {
 public:
  std::string Name() const override { return "joint"; }

  bool MakesCopies(const Profile& profile) const override {
    return !profile.device.copy_times.empty();
  }

  SolveResult Solve(const Problem& problem, const SolveOptions& options) const override {
    if (!MakesCopies(problem.profile)) {
      return MakeSearchSolver()->Solve(problem, options);
    }
    return Joint(problem, options).Run();
  }
};

}  // namespace

std::unique_ptr<Solver> MakeJointSolver() { return std::make_unique<JointSolver>(); }

}  // namespace stint
