#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <thread>
#include <vector>

#include "ir/check_certificate.h"
#include "ir/errors.h"
#include "planner/bounds.h"
#include "planner/cut_guide.h"
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
// Where work is limited, cuts come before the chains and may take this part.
constexpr double kCutsPart = 0.4;
// Where time is limited, they run beside the chains and end at this part.
constexpr double kCutsEnd = 0.95;
// Budgets for which the peak's cut is asked what to run again: keeping less than fits at the peak
// leaves room for bursts elsewhere.
constexpr double kHeadrooms[] = {0.95, 0.8, 1.0, 0.9, 0.7};
// Nodes of a whole program's search tree, where only work is limited.
constexpr std::int64_t kNodeLimit = 2000;
// Starts are made until so large a part of the limits is used.
constexpr double kStartPart = 0.25;
// How hot chains go on that have cooled already.
constexpr double kGuidedHeat = 0.1;
// Chains, and searches that become none, have seeds of their own.
constexpr std::uint64_t kSeedsPerRun = 16;
// Two durations that floating point cannot tell apart: parts of one.
constexpr double kDoubt = 1e-8;
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
std::vector<Insertion> RerunsOf(const Program& program, const Schedule& schedule) {
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
    Chains chains = Start(visit, recorded);
    if (chains.empty()) {
      return false;
    }
    result_.parts.push_back("annealing");
    CutRounds rounds(recorded, visit.program, visit.flat, problem_.budget_bytes);
    std::unique_ptr<CutThread> cuts{};
    if (!problem_.wants_bound || IsProven(visit, chains)) {
      // No cuts.
    } else if (!HasHighs()) {
      result_.parts.push_back("cuts in whole numbers: " + WhyNoHighs());
    } else if (options_.work_limit > 0) {
      MakeCuts(visit, rounds, chains);
    } else {
      const double left_s = options_.time_limit_s * kCutsEnd - limits_.ElapsedS();
      cuts = std::make_unique<CutThread>(rounds, CutOptions(), left_s, Fastest(chains)->best());
    }
    // What has cooled waits for the cuts with some more, cooler, moves.
    for (double heat = 1; limits_.UsedPart(StepCount(chains)) < 1; heat = kGuidedHeat) {
      Cool(visit, chains, problem_.start != nullptr ? kGuidedHeat : heat, cuts.get());
      if (IsProven(visit, chains) || cuts == nullptr || !cuts->IsRunning()) break;
    }
    if (cuts != nullptr) UseRounds(visit, cuts->Finish(), chains);
    if (!claim_words_.empty()) result_.parts.push_back(claim_words_);
    Offer(visit, recorded, *Fastest(chains));
    base_step_count_ = StepCount(chains);
    result_.step_count = base_step_count_;
    return true;
  }

  /// Two chains from the two best of: greedy's schedule, what cuts at the peak choose, and nothing.
  /// Empty if no plan that fits comes out of any.
  Chains Start(const Visit& visit, const Program& recorded) const {
    constexpr std::size_t kStartCount = 2 + std::size(kHeadrooms);
    const auto start_of = [&](std::size_t i) -> std::vector<Insertion> {
      if (i == 0 && problem_.start != nullptr) return RerunsOf(visit.program, *problem_.start);
      if (i == 0 && result_.schedule) return RerunsOf(visit.program, *result_.schedule);
      if (i <= 1) return {};
      const double headroom = kHeadrooms[i - 2];
      const auto budget_bytes =
          static_cast<std::int64_t>(headroom * static_cast<double>(problem_.budget_bytes));
      return InsertionsOf(visit.program, visit.flat, PeakChoice(recorded, budget_bytes));
    };
    Chains chains(kStartCount);
    const auto start_every_second = [&](std::size_t first) {
      for (std::size_t i = first; i < kStartCount; i += kChainCount) {
        if (i > 0 && problem_.start != nullptr) return;
        if (i >= 2 * kChainCount && limits_.UsedPart(base_step_count_) > kStartPart) return;
        const std::uint64_t seed = static_cast<std::uint64_t>(options_.seed) * kSeedsPerRun + i;
        chains[i] =
            std::make_unique<RecomputeSearch>(visit.flat, BudgetUnits(visit), seed, start_of(i));
      }
    };
    {
      const std::jthread other([&] { start_every_second(1); });
      start_every_second(0);
    }
    std::erase_if(chains, [](const auto& chain) { return chain == nullptr || !chain->HasPlan(); });
    std::ranges::stable_sort(chains, {}, [](const auto& chain) { return chain->best_ns(); });
    if (chains.size() > kChainCount) chains.resize(kChainCount);
    if (chains.size() == 1) {
      const std::uint64_t seed =
          static_cast<std::uint64_t>(options_.seed) * kSeedsPerRun + kStartCount;
      chains.push_back(std::make_unique<RecomputeSearch>(visit.flat, BudgetUnits(visit), seed,
                                                         chains.front()->best()));
    }
    return chains;
  }

  std::int32_t BudgetUnits(const Visit& visit) const {
    return static_cast<std::int32_t>(
        std::min((problem_.budget_bytes - visit.program.persistent_bytes) / kUnitBytes,
                 std::int64_t{std::numeric_limits<std::int32_t>::max()}));
  }

  FewCutOptions CutOptions() const {
    return {.is_whole = true,
            .node_limit = options_.work_limit > 0 ? kNodeLimit : 0,
            .seed = static_cast<std::int32_t>(options_.seed)};
  }

  /// Round after round until they prove the best plan, or have taken their part.
  void MakeCuts(const Visit& visit, CutRounds& rounds, Chains& chains) {
    FewCutOptions options = CutOptions();
    options.stop = options_.stop;
    while (rounds.HasNext() && !IsProven(visit, chains) &&
           limits_.UsedPart(StepCount(chains)) < kCutsPart) {
      options.time_limit_s = std::max(options_.time_limit_s - limits_.ElapsedS(), 0.01);
      const std::vector<CutRound> round = {rounds.Next(options, Fastest(chains)->best())};
      base_step_count_ += round.front().step_count;
      UseRounds(visit, round, chains);
    }
  }

  /// Claims what rounds of cuts say, and lets a chain go on from what they choose, mended, if that
  /// is better.
  void UseRounds(const Visit& visit, const std::vector<CutRound>& rounds, Chains& chains) {
    for (const CutRound& round : rounds) {
      const std::int64_t claimed_ns = KeepAllDurationNs(problem_.profile) + round.recompute_ns;
      UseProof(visit, round.certificate);
      if (!round.failure.empty()) {
        claim_words_ = "cuts in whole numbers: " + round.failure;
      } else if (claimed_ns > std::max(problem_.lower_bound_ns, result_.claimed_bound_ns)) {
        claim_words_ = fmt::format("{} cuts in whole numbers", round.cuts.size());
        result_.claimed_bound_ns = claimed_ns;
        result_.claimed_cuts = round.cuts;
      }
      if (round.choices.empty() || IsProven(visit, chains)) continue;
      const RecomputeSearch guided(visit.flat, BudgetUnits(visit),
                                   static_cast<std::uint64_t>(options_.seed),
                                   InsertionsOf(visit.program, visit.flat, round.choices));
      const auto slowest =
          std::ranges::max_element(chains, {}, [](const auto& chain) { return chain->best_ns(); });
      if (guided.HasPlan() && guided.best_ns() < (*slowest)->best_ns()) {
        (*slowest)->Restart(guided.best());
        Report(visit, *Fastest(chains));
      }
    }
  }

  void UseProof(const Visit& visit, Certificate certificate) {
    if (certificate.method.empty()) return;
    certificate.plan_class = visit.bounds.certificate.plan_class;
    const std::int64_t proven_ns = ProvenDurationNs(problem_.profile, certificate, "certificate");
    if (proven_ns > std::max(problem_.lower_bound_ns, result_.proven_bound_ns)) {
      result_.proven_bound_ns = proven_ns;
      result_.proof = std::move(certificate);
    }
  }

  /// The best bound known on recomputation in the order of `visit`.
  std::int64_t BoundNs(const Visit& visit) const {
    const std::int64_t proven_ns = std::max(problem_.lower_bound_ns, result_.proven_bound_ns);
    return std::max(proven_ns, result_.claimed_bound_ns) - visit.bounds.duration_ns;
  }

  /// Whether the best plan is at the bound, or as close to it as was asked for.
  bool IsProven(const Visit& visit, const Chains& chains) const {
    const std::int64_t best_ns = Fastest(chains)->best_ns();
    const auto doubt_ns = static_cast<std::int64_t>(kDoubt * static_cast<double>(best_ns));
    return best_ns - doubt_ns <= BoundNs(visit) ||
           IsCloseEnough(problem_.profile, options_,
                         {.duration_ns = visit.bounds.duration_ns + best_ns,
                          .lower_bound_ns = visit.bounds.duration_ns + BoundNs(visit)});
  }

  /// Runs the chains from `heat` to cold until a limit is reached, or they have made their moves.
  void Cool(const Visit& visit, Chains& chains, double heat, CutThread* cuts) {
    const auto move_limit = static_cast<double>(
        kMovesAtLeast + kMovesPerOp * static_cast<std::int64_t>(visit.program.op_count));
    const double begin_part = limits_.UsedPart(StepCount(chains));
    std::int64_t move_count = 0;
    int meeting = kFirstExchange;
    for (;;) {
      const double part = (limits_.UsedPart(StepCount(chains)) - begin_part) / (1 - begin_part);
      const double used = std::max(part, static_cast<double>(move_count) / move_limit);
      if (cuts != nullptr) UseRounds(visit, cuts->Take(), chains);
      if (used >= 1 || IsProven(visit, chains)) {
        return;
      }
      if (used * kMeetingCount >= meeting) {
        Exchange(chains);
        ++meeting;
      }
      const double now = heat * (1 - used);
      {
        std::vector<std::jthread> threads{};
        for (std::size_t i = 1; i < chains.size(); ++i) {
          threads.emplace_back([&chain = *chains[i], now] { chain.Run(kSliceMoveCount, now); });
        }
        chains.front()->Run(kSliceMoveCount, now);
      }
      move_count += kSliceMoveCount;
      Report(visit, *Fastest(chains));
      const std::int64_t best_ns = Fastest(chains)->best_ns();
      if (cuts != nullptr && (suggested_ns_ == 0 || best_ns < suggested_ns_)) {
        cuts->Suggest(Fastest(chains)->best());
        suggested_ns_ = best_ns;
      }
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
      options_.on_progress(
          {.duration_ns = duration_ns,
           .lower_bound_ns = std::max(result_.lower_bound_ns, result_.claimed_bound_ns)});
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
  std::int64_t suggested_ns_ = 0;     // Recomputation of the last plan whose tight ops were told.
  std::string claim_words_{};         // Of result_.parts.
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
