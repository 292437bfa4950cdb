#include "planner/make_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>

#include "ir/check_plan.h"
#include "ir/errors.h"
#include "simulator/simulator.h"
#include "tests/support/graphs.h"

namespace stint {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(MakePlanTest, TakesAsMuchAsItNeedsWithoutABudget) {
  const Profile profile = fixtures::Chain();

  const PlanAnswer answer = MakePlan(profile, {.has_budget = false, .solver = "keep-all"});

  ASSERT_EQ(answer.status, SolveStatus::kOptimal);
  EXPECT_EQ(answer.plan->peak_bytes, 512 + 1024 + 2048 + 512);
  EXPECT_EQ(answer.plan->arena_bytes, answer.plan->peak_bytes);
  EXPECT_EQ(answer.plan->budget_bytes, answer.plan->arena_bytes);
  EXPECT_EQ(answer.plan->status, PlanStatus::kOptimal);
}

TEST(MakePlanTest, WritesWhatKeepAllWouldTakeIntoTheHead) {
  const PlanAnswer answer = MakePlan(fixtures::ChainWithBackward(), {.budget_bytes = 5632});

  ASSERT_EQ(answer.status, SolveStatus::kOptimal);
  EXPECT_EQ(answer.plan->keep_all_peak_bytes, 6144);
  EXPECT_EQ(answer.plan->keep_all_duration_ns, 16);
  EXPECT_EQ(answer.plan->duration_ns, 17);
  EXPECT_EQ(answer.plan->lower_bound_ns, 17);
  EXPECT_EQ(answer.plan->budget_bytes, 5632);
  EXPECT_LE(answer.plan->arena_bytes, 5632);
  EXPECT_EQ(answer.plan->certificate.plan_class, "recorded-order");
  EXPECT_EQ(answer.plan->certificate.method, "cuts");
  EXPECT_EQ(answer.plan->certificate.limit_bytes, 5632);
}

TEST(MakePlanTest, TakesTheOverheadOfTheProcessOffTheBudget) {
  Profile profile = fixtures::Chain();
  profile.device.overhead_bytes = 10000;
  profile.device.graph_node_bytes = 100;
  EXPECT_EQ(OverheadBytes(profile), 10000 + 3 * 100);
  const std::int64_t needed_bytes = 512 + 1024 + 2048 + 512 + 10300;

  const PlanAnswer enough = MakePlan(profile, {.budget_bytes = needed_bytes});
  const PlanAnswer too_little = MakePlan(profile, {.budget_bytes = needed_bytes - 1});

  ASSERT_TRUE(enough.plan.has_value());
  EXPECT_EQ(enough.plan->overhead_bytes, 10300);
  EXPECT_EQ(too_little.status, SolveStatus::kInfeasible);
  EXPECT_FALSE(too_little.plan.has_value());
  EXPECT_EQ(too_little.min_budget_bytes, needed_bytes);
  EXPECT_THAT(too_little.binding, HasSubstr("op 1 (test::B)"));
  EXPECT_THAT(too_little.binding, HasSubstr("10.1 KiB lie outside the arena"));
}

TEST(MakePlanTest, KnowsWhatPinnedMemoryTakesOnTheDevice) {
  Profile profile = fixtures::Chain();
  constexpr std::int64_t kGiB = std::int64_t{1} << 30;
  EXPECT_EQ(OverheadBytes(profile, kGiB), 0) << "a cost model";
  profile.device.graph_node_bytes = 100;
  EXPECT_EQ(OverheadBytes(profile, 0), 300);
  EXPECT_EQ(OverheadBytes(profile, 1), 300 + (4 << 20));
  EXPECT_EQ(OverheadBytes(profile, kGiB), 300 + (6 << 20));
}

TEST(MakePlanTest, TakesTheSnapshotOffTheHostBudgetAndItsPageTablesOffTheOther) {
  // s, 512 bytes, is all that InPlace writes and keeps.
  Profile profile = fixtures::InPlace();
  profile.device.graph_node_bytes = 100;
  const PlanRequest request = {
      .has_budget = false, .solver = "keep-all", .has_snapshot = true, .host_budget_bytes = 512};

  const PlanAnswer answer = MakePlan(profile, request);

  ASSERT_TRUE(answer.plan.has_value());
  CheckPlan(profile, *answer.plan);
  EXPECT_EQ(answer.plan->snapshot_bytes, 512);
  ASSERT_EQ(answer.plan->snapshot.size(), 1U);
  EXPECT_EQ(answer.plan->snapshot[0].buffer, BufferId{1});
  EXPECT_EQ(answer.plan->overhead_bytes, OverheadBytes(profile, 512));
  EXPECT_EQ(Simulate(profile, *answer.plan).snapshot_bytes, 512);

  PlanRequest too_little = request;
  too_little.host_budget_bytes = 511;
  const PlanAnswer no = MakePlan(profile, too_little);
  EXPECT_EQ(no.status, SolveStatus::kInfeasible);
  EXPECT_EQ(no.min_host_bytes, 512);
  EXPECT_FALSE(no.plan.has_value());
}

TEST(MakePlanTest, PlanSaysWhichPartsRan) {
  const PlanAnswer answer = MakePlan(fixtures::ChainWithBackward(), {.budget_bytes = 5632});

  EXPECT_THAT(answer.plan->solver_parts, ElementsAre("keep-all", "lookahead"));
}

TEST(MakePlanTest, CanLimitTheLiveBytesInsteadOfTheArena) {
  int plan_count = 0;
  for (std::uint32_t seed = 0; seed < 200; ++seed) {
    const Profile profile = fixtures::RandomProfile(seed);
    const std::int64_t peak_bytes =
        MakePlan(profile, {.has_budget = false, .solver = "keep-all"}).plan->peak_bytes;
    const std::int64_t budget_bytes = OverheadBytes(profile) + peak_bytes * 7 / 10;

    const PlanAnswer answer = MakePlan(
        profile,
        {.budget_bytes = budget_bytes, .limits_arena = false, .options = {.work_limit = 1000}});

    if (!answer.plan) continue;
    EXPECT_LE(answer.plan->peak_bytes + answer.plan->overhead_bytes, budget_bytes);
    EXPECT_EQ(answer.plan->budget_bytes,
              std::max(budget_bytes, answer.plan->arena_bytes + answer.plan->overhead_bytes));
    ++plan_count;
  }
  EXPECT_GT(plan_count, 0);
}

TEST(MakePlanTest, RefusesABudgetBelowTheOverhead) {
  Profile profile = fixtures::Chain();
  profile.device.overhead_bytes = 10000;

  EXPECT_EQ(MakePlan(profile, {.budget_bytes = 1}).status, SolveStatus::kInfeasible);
}

TEST(MakePlanTest, RefusesAnUnknownSolver) {
  EXPECT_THROW(MakePlan(fixtures::Chain(), {.budget_bytes = 1, .solver = "best"}), InputError);
}

TEST(MakePlanTest, RefusesAMalformedProfile) {
  Profile profile = fixtures::Chain();
  profile.phases[0].repeat_count = 0;

  EXPECT_THROW(MakePlan(profile, {.budget_bytes = 1 << 20}), InputError);
}

TEST(MakePlanTest, PlansRepeatedPhases) {
  const Profile profile = fixtures::Accumulation();

  const PlanAnswer answer = MakePlan(profile, {.has_budget = false});

  ASSERT_EQ(answer.status, SolveStatus::kOptimal);
  EXPECT_EQ(answer.plan->duration_ns, 2 + 3 * 2 + 3);
}

}  // namespace
}  // namespace stint
