#include "planner/early_updates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "planner/make_plan.h"
#include "tests/support/graphs.h"
#include "tests/support/naive_check_plan.h"

namespace stint {
namespace {

using ::testing::ElementsAre;

std::vector<std::size_t> Order(const Profile& profile) {
  std::vector<std::size_t> order{};
  for (const OpId op : EarlyUpdateOrder(profile, DeriveEffects(profile))) {
    order.push_back(Index(op));
  }
  return order;
}

///     op        buffers                     live beside x, w0, w1, t of 512 each
///     0 F0      x, w0    -> a 512           a                     512
///     1 F1      a, w1    -> b 512           a, b                 1024
///     2 G1      b, a, w1 -> p 512, g1 1024  a, b, p, g1          2560
///     3 G0      p, x     -> g0 2048         p, g1, g0            3584    after U1: 2560
///     4 add_             -> (t)             g1, g0               3072
///     5 U1      g1, t    -> (w1, g1)        g1, g0               3072
///     6 U0      g0, t    -> (w0, g0)        g0                   2048
///
/// Each op takes 1 ns. As a fused AdamW may unscale gradients, it counts as writing them.
Profile TrainingStep() {
  fixtures::GraphBuilder graph;
  const BufferId x = graph.Persistent("x", BufferRole::kInput, 512);
  const BufferId w0 = graph.Persistent("w0", BufferRole::kWeight, 512);
  const BufferId w1 = graph.Persistent("w1", BufferRole::kWeight, 512);
  const BufferId t = graph.Persistent("t", BufferRole::kOptimizerState, 512);
  const BufferId a = graph.Make("test::F0", {x, w0}, 512, 1);
  const BufferId b = graph.Make("test::F1", {a, w1}, 512, 1);
  const std::vector<BufferId> p_and_g1 =
      graph.Run("test::G1", {b, a, w1}, {}, {.output_sizes_bytes = {512, 1024}}, 1);
  const BufferId g0 = graph.Make("test::G0", {p_and_g1[0], x}, 2048, 1);
  graph.Run("test::add_", {}, {t}, {}, 1);
  graph.Run("test::U1", {t}, {w1, p_and_g1[1]}, {}, 1);
  graph.Run("test::U0", {t}, {w0, g0}, {}, 1);
  graph.EndPhase("step");
  return graph.Build();
}

TEST(EarlyUpdateOrderTest, PutsEachUpdateRightAfterItsGradientAndTheLastUseOfTheOldWeight) {
  // add_ waits for nothing; U1 for G1; U0 for G0.
  EXPECT_THAT(Order(TrainingStep()), ElementsAre(4, 0, 1, 2, 5, 3, 6));
}

TEST(EarlyUpdateOrderTest, WaitsForTheLastReaderOfWhatAnUpdateOverwrites) {
  fixtures::GraphBuilder graph;
  const BufferId w = graph.Persistent("w", BufferRole::kWeight, 512);
  const BufferId g = graph.Make("test::G", {}, 512, 1);
  const BufferId y = graph.Make("test::reads_old_w", {w}, 512, 1);
  graph.Make("test::use", {y}, 512, 1);
  graph.Run("test::U", {g}, {w}, {}, 1);
  graph.Make("test::reads_new_w", {w}, 512, 1);
  graph.EndPhase("step");

  EXPECT_THAT(Order(graph.Build()), ElementsAre(0, 1, 3, 2, 4));
}

TEST(EarlyUpdateOrderTest, LeavesRepeatedPhasesAlone) {
  const auto order_with_repeat_count = [](std::int64_t repeat_count) {
    fixtures::GraphBuilder graph;
    const BufferId x = graph.Persistent("x", BufferRole::kInput, 512);
    const BufferId t = graph.Persistent("t", BufferRole::kOptimizerState, 512);
    graph.Make("test::A", {x}, 512, 1);
    graph.EndPhase("before");
    graph.Make("test::A", {x}, 512, 1);
    graph.Run("test::add_", {}, {t}, {}, 1);
    graph.EndPhase("body", repeat_count);
    return Order(graph.Build());
  };

  EXPECT_THAT(order_with_repeat_count(1), ElementsAre(0, 2, 1));
  EXPECT_THAT(order_with_repeat_count(2), ElementsAre(0, 1, 2));
}

TEST(EarlyUpdateOrderTest, LeavesOpsWhereTheyAreThatWriteWhatIsUsedLaterOrDrawRandomNumbers) {
  fixtures::GraphBuilder graph;
  const BufferId s = graph.Persistent("s", BufferRole::kOptimizerState, 512);
  const BufferId t = graph.Persistent("t", BufferRole::kOptimizerState, 512);
  const BufferId a = graph.Make("test::A", {}, 512, 1);
  const BufferId b = graph.Make("test::B", {}, 512, 1);
  graph.Run("test::add_", {}, {s, a}, {}, 1);
  graph.Make("test::use", {a, b}, 512, 1);
  graph.Run("test::normal_", {}, {t}, {}, 1);
  graph.profile().ops.back().random = RandomSource{};
  graph.EndPhase("step");

  EXPECT_THAT(Order(graph.Build()), ElementsAre(0, 1, 2, 3, 4));
}

TEST(EarlyUpdatesTest, LowerThePeakWithoutRecomputation) {
  const Profile profile = TrainingStep();
  ASSERT_EQ(MakePlan(profile, {.has_budget = false, .solver = "keep-all"}).plan->peak_bytes,
            2048 + 3584);

  const std::int64_t least_bytes = 2048 + 2560;
  const PlanAnswer answer = MakePlan(profile, {.budget_bytes = least_bytes});

  ASSERT_EQ(answer.status, SolveStatus::kOptimal);
  EXPECT_EQ(answer.plan->duration_ns, 7);
  EXPECT_EQ(answer.plan->peak_bytes, least_bytes);
  EXPECT_EQ(answer.plan->certificate.plan_class, "updates-movable");
  EXPECT_EQ(fixtures::NaiveFault(profile, *answer.plan), "");
  EXPECT_EQ(MakePlan(profile, {.budget_bytes = least_bytes - 1}).status, SolveStatus::kInfeasible);
}

TEST(EarlyUpdatesTest, StayInTheRecordedOrderWhereThatFits) {
  const PlanAnswer answer = MakePlan(TrainingStep(), {.has_budget = false});

  ASSERT_EQ(answer.status, SolveStatus::kOptimal);
  EXPECT_EQ(answer.plan->certificate.plan_class, "updates-movable");
}

TEST(EarlyUpdatesTest, StayInTheRecordedOrderWhereTheOldWeightIsWorthMore) {
  //   op        values                    resident during it, recorded
  //   0 f       w@0 -> y 1024, 1 ns       w 512, c 512, y
  //   1 g       c   -> z 1024, 100 ns     w, c, y, z
  //   2 h       c   -> big 2048           w, c, y, z, big             5120
  //   3 use     big                       w, c, y, z, big, 512        5632
  //   4 use     y                         w, c, y, z, 512
  //   5 use     z                         w, c, z, 512
  //   6 U       c -> (w@1)                early: right after f
  fixtures::GraphBuilder graph;
  const BufferId w = graph.Persistent("w", BufferRole::kWeight, 512);
  const BufferId c = graph.Persistent("c", BufferRole::kInput, 512);
  const BufferId y = graph.Make("test::f", {w}, 1024, 1);
  const BufferId z = graph.Make("test::g", {c}, 1024, 100);
  const BufferId big = graph.Make("test::h", {c}, 2048, 1);
  for (const BufferId buffer : {big, y, z}) {
    graph.Make("test::use", {buffer}, 512, 1);
  }
  graph.Run("test::U", {c}, {w}, {}, 1);
  graph.EndPhase("step");
  const Profile profile = graph.Build();
  ASSERT_THAT(Order(profile), ElementsAre(0, 6, 1, 2, 3, 4, 5));

  const PlanAnswer answer = MakePlan(profile, {.budget_bytes = 4608});

  // Either y or z must go. After U, y cannot be made again, and z takes 100 ns.
  ASSERT_TRUE(answer.plan.has_value());
  EXPECT_EQ(answer.plan->duration_ns, 107);
  EXPECT_EQ(answer.plan->lower_bound_ns, 107);
  EXPECT_EQ(answer.plan->certificate.plan_class, "updates-movable");
}

}  // namespace
}  // namespace stint
