// What every solver in the registry owes, over random profiles and budgets.
#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <vector>

#include "ir/check_plan.h"
#include "planner/make_plan.h"
#include "planner/schedule.h"
#include "tests/planner/brute_force.h"
#include "tests/planner/tiny_profile.h"
#include "tests/support/graphs.h"
#include "tests/support/naive_check_plan.h"

namespace stint {
namespace {

constexpr std::int64_t kWorkLimit = 200000;
constexpr int kBudgetPercents[] = {100, 90, 80, 70, 60, 50};

ScheduleTotals KeepAllTotals(const Profile& profile) {
  const Program program = MakeProgram(profile, DeriveEffects(profile));
  return Measure(profile, program, KeepAllSchedule(profile, program));
}

class SolverProperty : public ::testing::TestWithParam<std::tuple<std::string, std::uint32_t>> {
 protected:
  PlanRequest RequestOf(std::int64_t budget_bytes) const {
    return {.budget_bytes = budget_bytes,
            .solver = std::get<0>(GetParam()),
            .options = {.time_limit_s = 1e6, .work_limit = kWorkLimit}};
  }
  std::uint32_t seed() const { return std::get<1>(GetParam()); }
};

TEST_P(SolverProperty, PlansAreRightAndKeepTheirBudget) {
  const Profile profile = fixtures::RandomProfile(seed());
  const std::int64_t keep_all_bytes = KeepAllTotals(profile).peak_bytes;
  for (const int percent : kBudgetPercents) {
    const PlanAnswer answer = MakePlan(profile, RequestOf(keep_all_bytes * percent / 100));
    if (!answer.plan) {
      EXPECT_TRUE(answer.status == SolveStatus::kInfeasible ||
                  answer.status == SolveStatus::kUnknown);
      continue;
    }
    CheckPlan(profile, *answer.plan);
    EXPECT_EQ(fixtures::NaiveFault(profile, *answer.plan), "");
    EXPECT_LE(answer.plan->arena_bytes, keep_all_bytes * percent / 100);
    EXPECT_LE(answer.plan->peak_bytes, answer.plan->arena_bytes);
    EXPECT_GE(answer.plan->duration_ns, answer.plan->lower_bound_ns);
    EXPECT_EQ(answer.status == SolveStatus::kOptimal,
              answer.plan->duration_ns == answer.plan->lower_bound_ns);
  }
}

TEST_P(SolverProperty, KeepsEverythingWhereThereIsRoom) {
  const Profile profile = fixtures::RandomProfile(seed());
  PlanRequest request = RequestOf(0);
  request.has_budget = false;

  const PlanAnswer answer = MakePlan(profile, request);

  ASSERT_EQ(answer.status, SolveStatus::kOptimal);
  EXPECT_EQ(answer.plan->peak_bytes, KeepAllTotals(profile).peak_bytes);
  EXPECT_EQ(answer.plan->duration_ns, KeepAllTotals(profile).duration_ns);
}

TEST_P(SolverProperty, PlansSurviveJson) {
  const Profile profile = fixtures::RandomProfile(seed());
  PlanRequest request = RequestOf(0);
  request.has_budget = false;

  const Plan plan = *MakePlan(profile, request).plan;

  EXPECT_EQ(ToJson(PlanFromJson(ToJson(plan), "plan")), ToJson(plan));
}

TEST_P(SolverProperty, SameInputGivesSameBytes) {
  const Profile profile = fixtures::RandomProfile(seed());
  const std::int64_t budget_bytes = KeepAllTotals(profile).peak_bytes * 3 / 4;

  const PlanAnswer first = MakePlan(profile, RequestOf(budget_bytes));
  const PlanAnswer second = MakePlan(profile, RequestOf(budget_bytes));

  ASSERT_EQ(first.plan.has_value(), second.plan.has_value());
  if (first.plan) {
    EXPECT_EQ(PlanSha256(*first.plan), PlanSha256(*second.plan));
  }
}

TEST_P(SolverProperty, NeverBeatsBruteForce) {
  const Profile profile = TinyProfile(seed());
  const std::vector<OpEffects> effects = DeriveEffects(profile);
  const std::int64_t keep_all_bytes = KeepAllTotals(profile).peak_bytes;
  const std::unique_ptr<Solver> solver = MakeSolver(std::get<0>(GetParam()));
  for (const int percent : kBudgetPercents) {
    const std::int64_t budget_bytes = keep_all_bytes * percent / 100;
    const std::optional<std::int64_t> fastest_ns = FastestDurationNs(profile, budget_bytes);

    const SolveResult result =
        solver->Solve({.profile = profile, .effects = effects, .budget_bytes = budget_bytes},
                      {.time_limit_s = 1e6, .work_limit = kWorkLimit});

    if (fastest_ns) {
      EXPECT_NE(result.status, SolveStatus::kInfeasible);
      EXPECT_LE(result.min_budget_bytes, budget_bytes);
      EXPECT_LE(result.lower_bound_ns, *fastest_ns);
    }
    if (result.schedule) {
      ASSERT_TRUE(fastest_ns.has_value());
      EXPECT_GE(result.duration_ns, *fastest_ns);
      EXPECT_LE(result.peak_bytes, budget_bytes);
    }
    if (result.status == SolveStatus::kOptimal) {
      EXPECT_EQ(result.duration_ns, *fastest_ns);
    }
  }
}

std::vector<std::string> SolverNames() {
  std::vector<std::string> names{};
  for (const std::unique_ptr<Solver>& solver : AllSolvers()) {
    names.push_back(solver->Name());
  }
  return names;
}

INSTANTIATE_TEST_SUITE_P(Solvers, SolverProperty,
                         ::testing::Combine(::testing::ValuesIn(SolverNames()),
                                            ::testing::Range(1U, 41U)));

}  // namespace
}  // namespace stint
