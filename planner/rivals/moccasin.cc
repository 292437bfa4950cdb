// Values are retained in at most two intervals: from their op's first run, and from a second one in
// some stage. A solution is the second runs; lifetimes follow (planner/insertion_plan.h). As
// published there are two phases: first the peak comes down to the budget, then the runs get fewer.
#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "planner/rivals/rival_run.h"
#include "planner/rivals/rivals.h"
#include "planner/small_random.h"

namespace stint {
namespace {

constexpr std::int64_t kStepsPerChange = 8;
// C of the paper: intervals of each value.
constexpr std::int64_t kIntervalLimit = 2;
// Candidates that are tried where the profile passes the budget.
constexpr std::size_t kCandidateCount = 24;
// Second runs that a neighbourhood frees at most.
constexpr std::size_t kFreedCount = 12;
// A neighbourhood is given up when it takes so many times the runs that it freed, and some.
constexpr int kRepairFactor = 4;
// Neighbourhoods in a row without success, for each op, after which the search ends.
constexpr std::int64_t kPatiencePerOp = 40;

class IntervalSearch {
 public:
  IntervalSearch(const FlatProgram& program, std::int32_t budget_units, std::uint64_t seed,
                 WorkMeter& work)
      : program_(program), budget_units_(budget_units), random_(seed), plan_(program), work_(work) {
    for (std::size_t value = 0; value < program.values.size(); ++value) {
      const FlatOp& creator = program.ops[static_cast<std::size_t>(program.values[value].creator)];
      if (creator.again_until > 0 && program.values[value].units > 0) {
        values_.push_back(static_cast<std::int32_t>(value));
      }
    }
  }

  /// The second runs of the best solution; empty if none fits.
  std::optional<std::vector<Insertion>> Run() {
    const int run_limit = 2 * program_.op_count + 1;
    for (int run = 0; plan_.peak_units() > budget_units_; ++run) {
      if (run >= run_limit || work_.IsSpent() || !LowerPeak()) return std::nullopt;
    }
    std::vector<Insertion> best = plan_.insertions();
    std::int64_t best_ns = plan_.overhead_ns();
    std::int64_t patience = kPatiencePerOp * program_.op_count;
    while (patience-- > 0 && best_ns > 0 && !work_.IsSpent()) {
      plan_.Commit();
      if (!TryNeighbourhood()) {
        Undo(0);
      } else if (plan_.overhead_ns() < best_ns) {
        best_ns = plan_.overhead_ns();
        best = plan_.insertions();
        patience = kPatiencePerOp * program_.op_count;
      }
    }
    return best;
  }

 private:
  /// Where the peak is, ends one value's interval and begins the second one at the next read: of
  /// some candidates the one that takes least time for what it frees.
  bool LowerPeak() {
    const std::int32_t stage = plan_.PeakStage();
    const std::int32_t before_units = plan_.peak_units();
    std::optional<Insertion> best{};
    double best_score = std::numeric_limits<double>::infinity();
    for (const Insertion& candidate : CandidatesAt(stage)) {
      const std::size_t mark = plan_.Mark();
      const std::int64_t before_ns = plan_.overhead_ns();
      const std::int32_t here_units = plan_.PeakUnits(stage, stage);
      Retain(candidate);
      const auto added_ns = static_cast<double>(plan_.overhead_ns() - before_ns + 1);
      const std::int32_t freed_units = here_units - plan_.PeakUnits(stage, stage);
      // A peak that grows elsewhere counts against it, though it may be lowered later.
      const std::int32_t grown_units = std::max(plan_.peak_units() - before_units, 0);
      const double score = freed_units <= 0
                               ? std::numeric_limits<double>::infinity()
                               : added_ns * (1 + grown_units) /
                                     std::min(freed_units, std::max(here_units - budget_units_, 1));
      if (score < best_score) {
        best_score = score;
        best = candidate;
      }
      Undo(mark);
    }
    if (best) Retain(*best);
    return best.has_value();
  }

  /// Second runs that end an interval which crosses `stage` without being read in it.
  std::vector<Insertion> CandidatesAt(std::int32_t stage) {
    std::vector<Insertion> candidates{};
    for (const std::int32_t value : values_) {
      const FlatValue& facts = program_.values[static_cast<std::size_t>(value)];
      if (facts.creator >= stage) continue;
      const std::vector<Moment>& events = plan_.EventsOf(value);
      const auto next = std::ranges::lower_bound(events, MomentOf(stage + 1, 0));
      if (next == events.end() || next == events.begin() || plan_.Makes(value, *next) ||
          StageOf(*(next - 1)) >= stage) {
        continue;
      }
      const Insertion again{.stage = StageOf(*next), .op = facts.creator};
      if (CanRetain(again)) candidates.push_back(again);
    }
    work_.Add(static_cast<std::int64_t>(values_.size() / 8));
    for (std::size_t i = 0; i + 1 < candidates.size() && i < kCandidateCount; ++i) {
      std::swap(candidates[i], candidates[i + random_.Below(candidates.size() - i)]);
    }
    if (candidates.size() > kCandidateCount) candidates.resize(kCandidateCount);
    return candidates;
  }

  /// Whether `again` would make something, and nothing that has its second interval already.
  bool CanRetain(Insertion again) const {
    bool makes_any = false;
    for (const std::int32_t value : program_.MadeBy(again.op)) {
      const std::vector<Moment>& events = plan_.EventsOf(value);
      const auto makes = [&](Moment event) { return plan_.Makes(value, event); };
      if (std::ranges::count_if(events, makes) >= kIntervalLimit) return false;
      makes_any |= again.stage <= program_.values[static_cast<std::size_t>(value)].made_until;
    }
    return makes_any && plan_.CanInsert(again);
  }

  /// Runs an op a second time; inputs whose first interval ended run with it if they may, else
  /// their intervals grow.
  void Retain(Insertion again) {
    Change(again, true);
    for (const std::int32_t value : program_.ReadsOf(again.op)) {
      const std::vector<Moment>& events = plan_.EventsOf(value);
      const auto here = std::ranges::lower_bound(events, MomentOf(again.stage, again.op));
      if (here == events.begin()) continue;
      const std::int32_t gone_since = StageOf(*(here - 1));
      const Insertion input{.stage = again.stage,
                            .op = program_.values[static_cast<std::size_t>(value)].creator};
      const bool passes_budget = gone_since + 1 < again.stage &&
                                 plan_.PeakUnits(gone_since + 1, again.stage - 1) > budget_units_;
      if (passes_budget && CanRetain(input)) Retain(input);
    }
  }

  void Change(Insertion insertion, bool is_insert) {
    const std::int64_t change_count = plan_.change_count();
    is_insert ? plan_.Insert(insertion) : plan_.Remove(insertion);
    work_.Add(kStepsPerChange * (plan_.change_count() - change_count) + 1);
  }

  void Undo(std::size_t mark) {
    const std::int64_t change_count = plan_.change_count();
    plan_.Undo(mark);
    work_.Add(kStepsPerChange * (plan_.change_count() - change_count) + 1);
  }

  /// Frees some second runs that are near each other, or any, and mends the profile otherwise.
  bool TryNeighbourhood() {
    const std::int64_t before_ns = plan_.overhead_ns();
    std::vector<Insertion> runs = plan_.insertions();
    const bool is_local = random_.Below(2) == 0;
    if (is_local) std::ranges::sort(runs);
    const std::size_t count = 1 + random_.Below(std::min(kFreedCount, runs.size()));
    const std::size_t first = random_.Below(runs.size());
    for (std::size_t i = 0; i < count; ++i) {
      const Insertion& freed =
          is_local ? runs[(first + i) % runs.size()] : runs[random_.Below(runs.size())];
      if (plan_.Has(freed)) Change(freed, false);
    }
    const int repair_limit = kRepairFactor * static_cast<int>(count) + kRepairFactor;
    for (int repair = 0; plan_.peak_units() > budget_units_; ++repair) {
      if (repair >= repair_limit || plan_.overhead_ns() > before_ns || !LowerPeak()) return false;
    }
    return plan_.overhead_ns() <= before_ns;
  }

  const FlatProgram& program_;
  std::int32_t budget_units_ = 0;
  SmallRandom random_;
  InsertionPlan plan_;
  std::vector<std::int32_t> values_{};  // That can have a second interval.
  WorkMeter& work_;
};

class MoccasinSolver : public Solver {
 public:
  std::string Name() const override { return "moccasin"; }

  SolveResult Solve(const Problem& problem, const SolveOptions& options) const override {
    RivalRun run(problem, options, "retention intervals");
    if (run.IsOverWhenFlat()) return run.Take();
    const std::optional<std::vector<Insertion>> reruns =
        IntervalSearch(run.flat(), run.budget_units(), static_cast<std::uint64_t>(options.seed),
                       run.work())
            .Run();
    if (reruns) run.Offer(*reruns);
    return run.Take();
  }
};

}  // namespace

std::unique_ptr<Solver> MakeMoccasinSolver() { return std::make_unique<MoccasinSolver>(); }

}  // namespace stint
