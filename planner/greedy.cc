#include <algorithm>
#include <limits>
#include <vector>

#include "ir/errors.h"
#include "planner/bounds.h"
#include "planner/early_updates.h"
#include "planner/lookahead.h"
#include "planner/schedule.h"
#include "planner/solvers.h"
#include "planner/work_meter.h"

namespace stint {
namespace {

// A rule that comes to this many times the bound is going round in circles.
constexpr std::int64_t kLongestFactor = 4;
// Where so many of the first rules find nothing at all, the others seldom do.
constexpr int kHopelessCount = 24;
// Rules for the recorded order where there is another: it wins rarely, and takes long to fail.
constexpr int kRecordedRuleCount = 8;

/// All rules worth trying, the ones that win most often first. Headroom helps rarely, so fewer of
/// them come with it.
std::vector<EvictionRule> Rules() {
  std::vector<EvictionRule> rules{};
  for (const double cost_power : {1.0, 0.5, 1.5, 0.25}) {
    for (const double bytes_power : {1.0, 0.5, 1.5}) {
      for (const double distance_power : {0.0, 1.0, 0.5, 0.25}) {
        rules.push_back({.cost_power = cost_power,
                         .bytes_power = bytes_power,
                         .distance_power = distance_power});
      }
    }
  }
  for (const double headroom : {0.05, 0.1, 0.2}) {
    for (const double cost_power : {1.0, 0.5}) {
      for (const double distance_power : {0.0, 1.0, 0.5, 0.25}) {
        rules.push_back(
            {.cost_power = cost_power, .distance_power = distance_power, .headroom = headroom});
      }
    }
  }
  return rules;
}

/// An order of the ops, and what no plan of its class can beat.
struct Visit {
  Program program{};
  Bounds bounds{};
};

/// The recorded order, after the one with early updates if that is another.
std::vector<Visit> VisitsOf(const Problem& problem) {
  std::vector<OpId> order = EarlyUpdateOrder(problem.profile, problem.effects);
  std::vector<Visit> visits(order == RecordedOrder(problem.profile) ? 1 : 2);
  for (Visit& visit : visits) {
    visit.program = MakeProgram(problem.profile, problem.effects, order);
    visit.bounds = ProveBounds(problem.profile, visit.program);
    order = RecordedOrder(problem.profile);
  }
  return visits;
}

/// One Solve: tries schedules and keeps the fastest that fits.
class Portfolio {
 public:
  Portfolio(const Problem& problem, const SolveOptions& options)
      : problem_(problem), options_(options), visits_(VisitsOf(problem)), work_(options) {
    const Bounds& bounds = visits_.front().bounds;
    result_ = {.status = SolveStatus::kUnknown,
               .lower_bound_ns = std::max(bounds.duration_ns, problem.lower_bound_ns),
               .min_budget_bytes = bounds.budget_bytes,
               .binding = bounds.binding,
               .certificate = bounds.certificate,
               .parts = {"keep-all"}};
  }

  SolveResult Run() {
    if (result_.min_budget_bytes > problem_.budget_bytes) {
      result_.status = SolveStatus::kInfeasible;
      return std::move(result_);
    }
    Offer(Recorded(), KeepAllSchedule(problem_.profile, Recorded().program));
    Offer(visits_.front(), KeepAllSchedule(problem_.profile, visits_.front().program));
    for (const Visit& visit : visits_) {
      TryRules(visit);
    }
    result_.step_count = work_.step_count();
    return std::move(result_);
  }

 private:
  const Visit& Recorded() const { return visits_.back(); }

  void TryRules(const Visit& visit) {
    const bool is_second = &visit != &visits_.front();
    int tried_count = 0;
    for (const EvictionRule& rule : Rules()) {
      const int limit_count = is_second           ? kRecordedRuleCount
                              : !result_.schedule ? kHopelessCount
                                                  : std::numeric_limits<int>::max();
      if (IsCloseEnough() || work_.IsSpent() || tried_count >= limit_count) {
        return;
      }
      if (result_.parts.back() != "lookahead") result_.parts.push_back("lookahead");
      Try(visit, rule);
      ++tried_count;
    }
  }

  /// At the proof, or as near to it as was asked for.
  bool IsCloseEnough() const {
    return result_.schedule && stint::IsCloseEnough(problem_.profile, options_,
                                                    {.duration_ns = result_.duration_ns,
                                                     .lower_bound_ns = result_.lower_bound_ns});
  }

  void Try(const Visit& visit, const EvictionRule& rule) {
    const std::int64_t duration_limit_ns =
        result_.schedule ? result_.duration_ns : kLongestFactor * result_.lower_bound_ns;
    std::optional<Schedule> schedule = BuildLookahead(
        problem_.profile, visit.program, problem_.budget_bytes, rule, duration_limit_ns, work_);
    if (schedule) {
      Offer(visit, std::move(*schedule));
    }
  }

  /// Takes `schedule`, made in the order of `visit`, if it fits and is the fastest so far.
  void Offer(const Visit& visit, Schedule schedule) {
    const ScheduleTotals totals = Measure(problem_.profile, Recorded().program, schedule);
    if (totals.peak_bytes > problem_.budget_bytes ||
        (result_.schedule && totals.duration_ns >= result_.duration_ns)) {
      return;
    }
    result_.status = totals.duration_ns == result_.lower_bound_ns ? SolveStatus::kOptimal
                                                                  : SolveStatus::kFeasible;
    result_.peak_bytes = totals.peak_bytes;
    result_.duration_ns = totals.duration_ns;
    result_.schedule = std::move(schedule);
    result_.certificate = visit.bounds.certificate;
    if (options_.on_progress) {
      options_.on_progress(
          {.duration_ns = result_.duration_ns, .lower_bound_ns = result_.lower_bound_ns});
    }
  }

  const Problem& problem_;
  const SolveOptions& options_;
  const std::vector<Visit> visits_;
  WorkMeter work_;
  SolveResult result_{};
};

class GreedySolver : public Solver {
 public:
  std::string Name() const override { return "greedy"; }

  SolveResult Solve(const Problem& problem, const SolveOptions& options) const override {
    return Portfolio(problem, options).Run();
  }
};

}  // namespace

std::unique_ptr<Solver> MakeGreedySolver() { return std::make_unique<GreedySolver>(); }

}  // namespace stint
