#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <thread>
#include <vector>

#include "ir/errors.h"
#include "planner/bounds.h"
#include "planner/early_updates.h"
#include "planner/flat_program.h"
#include "planner/insertion_plan.h"
#include "planner/recompute_search.h"
#include "planner/schedule.h"
#include "planner/solvers.h"

namespace stint {
namespace {

using Clock = std::chrono::steady_clock;

// Chains of moves, each on a thread, whatever the machine has: results must not depend on it.
constexpr std::size_t kChainCount = 2;
// Part of the limits that the first stage, greedy, may use.
constexpr double kGreedyPart = 0.1;
// Moves of a chain after which it has done what it can.
constexpr std::int64_t kMovesPerOp = 4000;
constexpr std::int64_t kMovesAtLeast = 20000;
// Chains meet so often while they cool; the one that is behind goes on from the other's best.
constexpr int kMeetingCount = 64;
// From this meeting on: before, chains are to differ.
constexpr int kFirstExchange = 40;
// Moves of each chain between two looks at the limits.
constexpr std::int64_t kSliceMoveCount = 512;
// Work of one changed range of the memory profile, in steps of the other solvers.
constexpr std::int64_t kStepsPerChange = 8;
constexpr std::int64_t kUnitBytes = 512;

using Chains = std::vector<std::unique_ptr<RecomputeSearch>>;

/// The recomputations of `schedule`, whose ops run first in the order of `program`.
std::vector<Insertion> InsertionsOf(const Program& program, const Schedule& schedule) {
  std::vector<std::int32_t> step_of(program.ops.size());
  for (std::int32_t step = 0; step < program.op_count; ++step) {
    step_of[Index(program.ops[static_cast<std::size_t>(step)].id)] = step;
  }
  std::vector<Insertion> insertions{};
  std::int32_t stage = 0;
  const auto read = [&](const std::vector<Instruction>& instructions) {
    for (const Instruction& instruction : instructions) {
      if (instruction.kind != InstructionKind::kCompute) {
        continue;
      }
      const std::int32_t step = step_of[Index(instruction.op)];
      if (step >= stage) {
        stage = step + 1;
      } else {
        insertions.push_back({.stage = stage, .op = step});
      }
    }
  };
  for (const PhasePlan& phase : schedule.phases) {
    read(phase.prologue);
    read(phase.body);
    read(phase.epilogue);
  }
  return insertions;
}

/// How much of a Solve's limits is used, in [0, 1].
class Limits {
 public:
  explicit Limits(const SolveOptions& options) : options_(options), begin_(Clock::now()) {}

  bool IsStopped() const { return options_.stop != nullptr && options_.stop->load(); }
  double UsedPart(std::int64_t step_count) const {
    const double time_part = ElapsedS() / options_.time_limit_s;
    const double work_part = options_.work_limit > 0 ? static_cast<double>(step_count) /
                                                           static_cast<double>(options_.work_limit)
                                                     : 0;
    if (IsStopped() || time_part >= 1) {
      return 1;
    }
    // With a work limit the clock may end the search but not steer it.
    return options_.work_limit > 0 ? std::min(work_part, 1.0) : time_part;
  }
  double ElapsedS() const { return std::chrono::duration<double>(Clock::now() - begin_).count(); }

 private:
  const SolveOptions& options_;
  Clock::time_point begin_{};
};

/// One order of the ops that is searched.
struct Visit {
  Program program{};
  FlatProgram flat{};
  Bounds bounds{};
};

class Search {
 public:
  Search(const Problem& problem, const SolveOptions& options)
      : problem_(problem), options_(options), limits_(options) {}

  SolveResult Run() {
    const Program recorded = MakeProgram(problem_.profile, problem_.effects);
    if (!Flatten(problem_.profile, recorded)) {
      return MakeGreedySolver()->Solve(problem_, options_);
    }
    result_ = MakeGreedySolver()->Solve(problem_, GreedyOptions());
    base_step_count_ = result_.step_count;
    if (result_.status == SolveStatus::kOptimal || result_.status == SolveStatus::kInfeasible) {
      return std::move(result_);
    }
    for (const std::vector<OpId>& order : Orders()) {
      Visit visit{.program = MakeProgram(problem_.profile, problem_.effects, order)};
      visit.flat = *Flatten(problem_.profile, visit.program);
      visit.bounds = ProveBounds(problem_.profile, visit.program);
      if (SearchIn(visit, recorded)) {
        break;
      }
    }
    return std::move(result_);
  }

 private:
  SolveOptions GreedyOptions() const {
    SolveOptions options = options_;
    options.time_limit_s *= kGreedyPart;
    options.work_limit =
        static_cast<std::int64_t>(static_cast<double>(options_.work_limit) * kGreedyPart);
    options.work_limit += options_.work_limit > 0 ? 1 : 0;
    return options;
  }

  /// The order with early updates if there is one, then the recorded.
  std::vector<std::vector<OpId>> Orders() const {
    std::vector<std::vector<OpId>> orders{EarlyUpdateOrder(problem_.profile, problem_.effects)};
    if (orders.front() != RecordedOrder(problem_.profile)) {
      orders.push_back(RecordedOrder(problem_.profile));
    }
    return orders;
  }

  /// Whether any chain found a plan.
  bool SearchIn(const Visit& visit, const Program& recorded) {
    Chains chains{};
    for (std::uint64_t i = 0; i < kChainCount; ++i) {
      const std::uint64_t seed = static_cast<std::uint64_t>(options_.seed) * kChainCount + i;
      if (std::unique_ptr<RecomputeSearch> chain = Start(visit, seed)) {
        chains.push_back(std::move(chain));
      }
    }
    if (chains.empty()) {
      return false;
    }
    Cool(visit, chains);
    Offer(visit, recorded, *Fastest(chains));
    base_step_count_ = StepCount(chains);
    result_.step_count = base_step_count_;
    return true;
  }

  /// Null if neither from nothing nor from greedy's schedule a plan comes out that fits.
  std::unique_ptr<RecomputeSearch> Start(const Visit& visit, std::uint64_t seed) const {
    const auto budget_units = static_cast<std::int32_t>(
        std::min((problem_.budget_bytes - visit.program.persistent_bytes) / kUnitBytes,
                 std::int64_t{std::numeric_limits<std::int32_t>::max()}));
    std::vector<Insertion> start{};
    auto chain = std::make_unique<RecomputeSearch>(visit.flat, budget_units, seed, start);
    if (result_.schedule && (!chain->HasPlan() || IsFasterThan(visit, *chain))) {
      start = InsertionsOf(visit.program, *result_.schedule);
      auto other = std::make_unique<RecomputeSearch>(visit.flat, budget_units, seed, start);
      if (other->HasPlan() && (!chain->HasPlan() || other->best_ns() < chain->best_ns())) {
        chain = std::move(other);
      }
    }
    return chain->HasPlan() ? std::move(chain) : nullptr;
  }

  /// Whether the best schedule so far is faster than the best of `chain`.
  bool IsFasterThan(const Visit& visit, const RecomputeSearch& chain) const {
    return result_.duration_ns < visit.bounds.duration_ns + chain.best_ns();
  }

  /// Runs the chains until a limit is reached.
  void Cool(const Visit& visit, Chains& chains) {
    const auto move_limit = static_cast<double>(
        kMovesAtLeast + kMovesPerOp * static_cast<std::int64_t>(visit.program.op_count));
    std::int64_t move_count = 0;
    int meeting = kFirstExchange;
    for (;;) {
      const double used = std::max(limits_.UsedPart(StepCount(chains)),
                                   static_cast<double>(move_count) / move_limit);
      if (used >= 1 || Fastest(chains)->best_ns() == 0) {
        return;
      }
      if (used * kMeetingCount >= meeting) {
        Exchange(chains);
        ++meeting;
      }
      {
        std::vector<std::jthread> threads{};
        for (std::size_t i = 1; i < chains.size(); ++i) {
          threads.emplace_back(
              [&chain = *chains[i], used] { chain.Run(kSliceMoveCount, 1 - used); });
        }
        chains.front()->Run(kSliceMoveCount, 1 - used);
      }
      move_count += kSliceMoveCount;
      Report(visit, *Fastest(chains));
    }
  }

  static void Exchange(Chains& chains) {
    const RecomputeSearch& fastest = *Fastest(chains);
    for (std::unique_ptr<RecomputeSearch>& chain : chains) {
      if (chain->best_ns() > fastest.best_ns()) {
        chain->Restart(fastest.best());
      }
    }
  }

  static const RecomputeSearch* Fastest(const Chains& chains) {
    return std::min_element(
               chains.begin(), chains.end(),
               [](const auto& a, const auto& b) { return a->best_ns() < b->best_ns(); })
        ->get();
  }

  std::int64_t StepCount(const Chains& chains) const {
    std::int64_t step_count = base_step_count_;
    for (const std::unique_ptr<RecomputeSearch>& chain : chains) {
      step_count += chain->work_count() * kStepsPerChange;
    }
    return step_count;
  }

  void Report(const Visit& visit, const RecomputeSearch& chain) {
    const std::int64_t duration_ns = visit.bounds.duration_ns + chain.best_ns();
    const bool is_better = reported_ns_ == 0 || duration_ns < reported_ns_;
    const bool beats_result = !result_.schedule || duration_ns < result_.duration_ns;
    if (options_.on_progress && is_better && beats_result) {
      reported_ns_ = duration_ns;
      options_.on_progress({.duration_ns = duration_ns, .lower_bound_ns = result_.lower_bound_ns});
    }
  }

  void Offer(const Visit& visit, const Program& recorded, const RecomputeSearch& chain) {
    InsertionPlan plan(visit.flat);
    plan.Load(chain.best());
    Schedule schedule = plan.ToSchedule(problem_.profile, visit.program);
    const ScheduleTotals totals = Measure(problem_.profile, recorded, schedule);
    Check(totals.peak_bytes <= problem_.budget_bytes &&
              totals.duration_ns == visit.bounds.duration_ns + chain.best_ns(),
          "a schedule takes what its recomputations were counted to take");
    if (result_.schedule && totals.duration_ns >= result_.duration_ns) {
      return;
    }
    result_.status = totals.duration_ns == result_.lower_bound_ns ? SolveStatus::kOptimal
                                                                  : SolveStatus::kFeasible;
    result_.schedule = std::move(schedule);
    result_.peak_bytes = totals.peak_bytes;
    result_.duration_ns = totals.duration_ns;
    result_.certificate = visit.bounds.certificate;
  }

  const Problem& problem_;
  const SolveOptions& options_;
  const Limits limits_;
  SolveResult result_{};
  std::int64_t base_step_count_ = 0;  // Of what is over.
  std::int64_t reported_ns_ = 0;      // The last duration reported; 0: none yet.
};

class SearchSolver : public Solver {
 public:
  std::string Name() const override { return "search"; }

  SolveResult Solve(const Problem& problem, const SolveOptions& options) const override {
    return Search(problem, options).Run();
  }
};

}  // namespace

std::unique_ptr<Solver> MakeSearchSolver() { return std::make_unique<SearchSolver>(); }

}  // namespace stint
