// What the simulator owes for every plan: the numbers that other code put into its head.
#include <gtest/gtest.h>

#include <vector>

#include "ir/check_plan.h"
#include "planner/make_plan.h"
#include "simulator/simulator.h"
#include "tests/support/graphs.h"
#include "tests/support/plans.h"

namespace stint {
namespace {

class SimulatorProperty : public ::testing::TestWithParam<std::uint32_t> {};

void ExpectHeadOf(const Plan& plan, const Report& report) {
  EXPECT_EQ(report.peak_bytes, plan.peak_bytes);
  EXPECT_EQ(report.arena_bytes, plan.arena_bytes);
  EXPECT_EQ(report.duration_ns, plan.duration_ns);
}

TEST_P(SimulatorProperty, FindsThePeakOfPlansThatMoveAndRecompute) {
  const Profile profile = fixtures::RandomProfile(GetParam());
  const Plan plan = fixtures::RandomPlan(profile, GetParam());
  CheckPlan(profile, plan);

  ExpectHeadOf(plan, Simulate(profile, plan));
}

TEST_P(SimulatorProperty, FindsThePeakOfEverySolversPlan) {
  const Profile profile = fixtures::RandomProfile(GetParam());
  const PlanAnswer keep_all = MakePlan(profile, {.has_budget = false, .solver = "keep-all"});
  ASSERT_TRUE(keep_all.plan.has_value());
  ExpectHeadOf(*keep_all.plan, Simulate(profile, *keep_all.plan));

  for (const int percent : {95, 80, 65}) {
    const PlanRequest request = {.budget_bytes = keep_all.plan->budget_bytes * percent / 100,
                                 .solver = "greedy",
                                 .options = {.work_limit = 10000}};
    const PlanAnswer answer = MakePlan(profile, request);
    if (!answer.plan) continue;  // Below what this graph can do.
    const Report report = Simulate(profile, *answer.plan);
    ExpectHeadOf(*answer.plan, report);
    EXPECT_LE(report.arena_bytes + answer.plan->overhead_bytes, request.budget_bytes);
    EXPECT_GE(report.duration_ns, answer.plan->lower_bound_ns);
  }
}

TEST_P(SimulatorProperty, RolesAtThePeakAddUpToIt) {
  const Profile profile = fixtures::RandomProfile(GetParam());
  const Report report = Simulate(profile, fixtures::RandomPlan(profile, GetParam()));

  std::int64_t sum_bytes = 0;
  for (const RoleBytes& part : report.peak_by_role) sum_bytes += part.size_bytes;
  EXPECT_EQ(sum_bytes, report.peak_bytes);
  for (const PhaseReport& phase : report.phases) {
    for (const Timeline* part : {&phase.prologue, &phase.body, &phase.epilogue}) {
      std::vector<std::int64_t> sums_bytes(part->peak_bytes.size(), 0);
      for (const RolePeaks& peaks : part->peak_by_role) {
        for (std::size_t i = 0; i < sums_bytes.size(); ++i) sums_bytes[i] += peaks.size_bytes[i];
      }
      EXPECT_EQ(sums_bytes, part->peak_bytes);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, SimulatorProperty, ::testing::Range(0U, 100U));

}  // namespace
}  // namespace stint
