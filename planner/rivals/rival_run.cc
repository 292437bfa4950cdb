#include "planner/rivals/rival_run.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <utility>

#include "planner/bounds.h"
#include "planner/schedule.h"

namespace stint {
namespace {

constexpr std::int64_t kUnitBytes = 512;
// Work of one changed range of the memory profile, in steps of the other solvers.
constexpr std::int64_t kStepsPerChange = 8;
// A plan that takes so many times the bound is of no use to anyone.
constexpr std::int64_t kLongestFactor = 16;

std::int32_t FindBorder(const Profile& profile, const Program& program) {
  if (program.op_count == 0) return 0;
  for (std::int32_t step = 1; step < program.op_count; ++step) {
    if (profile.ops[static_cast<std::size_t>(step)].is_backward) return step;
  }
  const std::vector<std::int64_t> live_bytes = LiveBytes(program);
  const auto peak = std::max_element(live_bytes.begin(), live_bytes.end()) - live_bytes.begin();
  return std::max(static_cast<std::int32_t>(peak), 1);
}

}  // namespace

std::vector<Insertion> RerunsFor(const FlatProgram& program, std::int32_t border,
                                 const KeepSet& is_kept) {
  std::vector<Insertion> reruns{};
  std::vector<bool> is_there(program.values.size());
  for (std::size_t value = 0; value < program.values.size(); ++value) {
    is_there[value] = is_kept[value] || program.values[value].creator >= border;
  }
  std::vector<std::int32_t> missing{};  // Values to be made in the stage at hand.
  const auto want = [&](std::int32_t op) {
    for (const std::int32_t value : program.ReadsOf(op)) {
      if (!is_there[static_cast<std::size_t>(value)]) missing.push_back(value);
    }
  };
  for (std::int32_t stage = border; stage <= program.op_count; ++stage) {
    want(stage);
    while (!missing.empty()) {
      const auto value = static_cast<std::size_t>(missing.back());
      missing.pop_back();
      const std::int32_t creator = program.values[value].creator;
      const bool can_run = stage <= program.ops[static_cast<std::size_t>(creator)].again_until;
      if (is_there[value]) continue;
      is_there[value] = true;
      if (!can_run || stage > program.values[value].made_until) continue;
      reruns.push_back({.stage = stage, .op = creator});
      for (const std::int32_t made : program.MadeBy(creator)) {
        is_there[static_cast<std::size_t>(made)] = true;
      }
      want(creator);
    }
  }
  return reruns;
}

KeepSet KeepAcross(const FlatProgram& program, std::int32_t border, const Blocks& blocks) {
  const auto block_of = [&](std::int32_t op) { return blocks[static_cast<std::size_t>(op)]; };
  KeepSet is_kept(program.values.size());
  for (std::size_t value = 0; value < program.values.size(); ++value) {
    const std::int32_t creator = program.values[value].creator;
    is_kept[value] = creator >= border || block_of(creator) == kNoBlock;
  }
  for (std::int32_t op = 0; op < border; ++op) {
    for (const std::int32_t value : program.ReadsOf(op)) {
      const auto index = static_cast<std::size_t>(value);
      if (block_of(program.values[index].creator) != block_of(op)) is_kept[index] = true;
    }
  }
  return is_kept;
}

std::vector<std::int64_t> GeometricSteps(std::int64_t low, std::int64_t high, int count) {
  std::vector<std::int64_t> steps{};
  const double factor =
      std::pow(static_cast<double>(high) / static_cast<double>(low), 1.0 / std::max(count - 1, 1));
  for (int i = 0; i < count; ++i) {
    const auto step =
        static_cast<std::int64_t>(std::llround(static_cast<double>(low) * std::pow(factor, i)));
    if (steps.empty() || step > steps.back()) steps.push_back(step);
  }
  return steps;
}

RivalRun::RivalRun(const Problem& problem, const SolveOptions& options, const std::string& part)
    : problem_(problem),
      options_(options),
      program_(MakeProgram(problem.profile, problem.effects)),
      flat_(Flatten(problem.profile, program_)),
      border_(FindBorder(problem.profile, program_)),
      work_(options) {
  const Bounds bounds = ProveBounds(problem.profile, program_);
  result_ = {.status = SolveStatus::kUnknown,
             .lower_bound_ns = std::max(bounds.duration_ns, problem.lower_bound_ns),
             .min_budget_bytes = bounds.budget_bytes,
             .binding = bounds.binding,
             .certificate = bounds.certificate,
             .parts = {"keep-all"}};
  if (bounds.budget_bytes > problem.budget_bytes) {
    result_.status = SolveStatus::kInfeasible;
    return;
  }
  Offer(KeepAllSchedule(problem.profile, program_));
  if (!IsOver()) {
    AddPart(part);
    if (flat_) plan_.emplace(*flat_);
  }
}

bool RivalRun::IsOver() {
  return result_.status == SolveStatus::kInfeasible || work_.IsSpent() ||
         (result_.schedule && IsCloseEnough(problem_.profile, options_,
                                            {.duration_ns = result_.duration_ns,
                                             .lower_bound_ns = result_.lower_bound_ns}));
}

bool RivalRun::IsOverWhenFlat() {
  if (IsOver()) return true;
  if (!flat_) AddPart("not for programs with a phase that repeats, or of half a tebibyte");
  return !flat_;
}

std::int32_t RivalRun::budget_units() const {
  return static_cast<std::int32_t>(
      std::min((problem_.budget_bytes - program_.persistent_bytes) / kUnitBytes,
               std::int64_t{std::numeric_limits<std::int32_t>::max()}));
}

std::int64_t RivalRun::duration_limit_ns() const {
  return result_.schedule ? result_.duration_ns : kLongestFactor * result_.lower_bound_ns;
}

bool RivalRun::Offer(const std::vector<Insertion>& reruns) {
  const std::int64_t change_count = plan_->change_count();
  plan_->Load(reruns);
  work_.Add(kStepsPerChange * (plan_->change_count() - change_count) + program_.op_count);
  if (plan_->peak_units() > budget_units()) return false;
  return Offer(plan_->ToSchedule(problem_.profile, program_));
}

bool RivalRun::Offer(Schedule schedule) {
  const ScheduleTotals totals = Measure(problem_.profile, program_, schedule);
  if (totals.peak_bytes > problem_.budget_bytes) return false;
  if (result_.schedule && totals.duration_ns >= result_.duration_ns) return true;
  result_.status =
      totals.duration_ns == result_.lower_bound_ns ? SolveStatus::kOptimal : SolveStatus::kFeasible;
  result_.schedule = std::move(schedule);
  result_.peak_bytes = totals.peak_bytes;
  result_.duration_ns = totals.duration_ns;
  if (options_.on_progress) {
    options_.on_progress(
        {.duration_ns = result_.duration_ns, .lower_bound_ns = result_.lower_bound_ns});
  }
  return true;
}

SolveResult RivalRun::Take() {
  result_.step_count = work_.step_count();
  return std::move(result_);
}

}  // namespace stint
