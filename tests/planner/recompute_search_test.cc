#include "planner/recompute_search.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "planner/flat_program.h"
#include "planner/insertion_plan.h"
#include "planner/peak_tree.h"
#include "planner/schedule.h"
#include "tests/planner/brute_force.h"
#include "tests/support/graphs.h"

namespace stint {
namespace {

/// A profile of one unrepeated phase: no random profile of another shape is flattened.
struct Case {
  Profile profile{};
  Program program{};
  FlatProgram flat{};
};

Case CaseOf(Profile profile) {
  Case result{.profile = std::move(profile)};
  result.program = MakeProgram(result.profile, DeriveEffects(result.profile));
  result.flat = *Flatten(result.profile, result.program);
  return result;
}

/// The same ops, each phase run once.
Case RandomCase(std::uint32_t seed) {
  Profile profile = fixtures::RandomProfile(seed);
  for (Phase& phase : profile.phases) {
    phase.repeat_count = 1;
  }
  return CaseOf(std::move(profile));
}

TEST(PeakTreeTest, AgreesWithAnArray) {
  std::mt19937 random(7);
  for (const std::int32_t count : {1, 2, 5, 64, 77}) {
    PeakTree tree(count);
    std::vector<std::int32_t> array(static_cast<std::size_t>(count), 0);
    for (int round = 0; round < 300; ++round) {
      const auto any = [&] { return static_cast<std::int32_t>(random() % array.size()); };
      const auto [first, last] = std::minmax({any(), any()});
      const auto amount = static_cast<std::int32_t>(random() % 100);
      for (std::int32_t i = first; i <= last; ++i) {
        array[static_cast<std::size_t>(i)] += amount;
      }
      tree.Add(first, last, amount);
      const auto [from, to] = std::minmax({any(), any()});
      ASSERT_EQ(tree.Max(from, to),
                *std::max_element(array.begin() + from, array.begin() + to + 1));
      const auto highest = std::max_element(array.begin(), array.end());
      ASSERT_EQ(tree.Max(), *highest);
      ASSERT_EQ(tree.ArgMax(), highest - array.begin());
      const std::int32_t limit = array[random() % array.size()];
      const auto above =
          std::find_if(array.begin(), array.end(), [&](std::int32_t each) { return each > limit; });
      ASSERT_EQ(tree.FirstAbove(limit), above == array.end() ? -1 : above - array.begin());
    }
  }
}

TEST(PeakTreeTest, StaysRightWhenWhatCameWholeGoesInParts) {
  PeakTree tree(8);
  for (int round = 0; round < 100; ++round) {
    tree.Add(0, 7, 100'000'000);  // 100 of them together pass 32 bits.
    tree.Add(0, 2, -100'000'000);
    tree.Add(3, 7, -100'000'000);
  }
  tree.Add(4, 4, 1);
  EXPECT_EQ(tree.Max(), 1);
  EXPECT_EQ(tree.ArgMax(), 4);
}

TEST(InsertionPlanTest, SplitsLifetimesWhereAnOpRunsAgain) {
  // a 1024 lives from op 0 to its read by op 5; made again right before op 5 from x, it dies at
  // op 1. x, w 1024 are persistent and not counted.
  const Case example = CaseOf(fixtures::ChainWithBackward());
  InsertionPlan plan(example.flat);
  // At op 4: a, b, c 3072, loss 512, p and workspace 1536.
  EXPECT_EQ(plan.peak_units(), (3072 + 512 + 1536) / 512);

  plan.Insert({.stage = 5, .op = 0});

  EXPECT_EQ(plan.overhead_ns(), 1);
  EXPECT_EQ(plan.PeakUnits(4, 4), (2048 + 512 + 1536) / 512);

  plan.Undo(0);

  EXPECT_EQ(plan.overhead_ns(), 0);
  EXPECT_EQ(plan.peak_units(), (3072 + 512 + 1536) / 512);
}

TEST(InsertionPlanTest, DropsRecomputationsThatNobodyNeedsAnyMore) {
  const Case example = CaseOf(fixtures::ChainWithBackward());
  InsertionPlan plan(example.flat);
  plan.Insert({.stage = 4, .op = 1});  // b for op 4,
  plan.Insert({.stage = 4, .op = 0});  // from an a made again, too.
  ASSERT_EQ(plan.insertions().size(), 2U);

  plan.Remove({.stage = 4, .op = 1});

  // a is still read by op 5, so its own recomputation stays.
  ASSERT_EQ(plan.insertions().size(), 1U);

  plan.Insert({.stage = 5, .op = 0});  // Now nobody reads the a of stage 4.

  ASSERT_EQ(plan.insertions().size(), 1U);
  EXPECT_EQ(plan.insertions().front(), (Insertion{.stage = 5, .op = 0}));
}

TEST(InsertionPlanTest, CountsWhatItsScheduleTakes) {
  for (std::uint32_t seed = 1; seed <= 60; ++seed) {
    const Case example = RandomCase(seed);
    const ScheduleTotals keep_all = Measure(example.profile, example.program,
                                            KeepAllSchedule(example.profile, example.program));
    std::mt19937 random(seed);
    InsertionPlan plan(example.flat);
    for (int round = 0; round < 80; ++round) {
      const std::size_t mark = plan.Mark();
      const auto stage =
          1 + static_cast<std::int32_t>(random() % static_cast<unsigned>(example.flat.op_count));
      const Insertion insertion{
          .stage = stage, .op = static_cast<std::int32_t>(random() % static_cast<unsigned>(stage))};
      const std::vector<Insertion> before = plan.insertions();
      if (plan.CanInsert(insertion)) {
        plan.Insert(insertion);
      } else if (!plan.insertions().empty()) {
        plan.Remove(plan.insertions()[random() % plan.insertions().size()]);
      }
      if (random() % 3 == 0) {
        plan.Undo(mark);
        ASSERT_EQ(plan.insertions().size(), before.size());
      }
      const ScheduleTotals totals = Measure(example.profile, example.program,
                                            plan.ToSchedule(example.profile, example.program));
      ASSERT_EQ(totals.peak_bytes,
                example.program.persistent_bytes + std::int64_t{512} * plan.peak_units());
      ASSERT_EQ(totals.duration_ns, keep_all.duration_ns + plan.overhead_ns());
    }
  }
}

TEST(FlattenTest, LeavesRepeatedPhasesToOthers) {
  const Profile profile = fixtures::Accumulation();

  EXPECT_FALSE(Flatten(profile, MakeProgram(profile, DeriveEffects(profile))).has_value());
}

TEST(FlattenTest, LeavesSizesThatPass32BitsToOthers) {
  Profile profile = fixtures::Chain();
  const std::int64_t huge_bytes = std::int64_t{1} << 40;
  profile.buffers[1].size_bytes = huge_bytes;
  profile.ops[0].requests[0].size_bytes = huge_bytes;

  EXPECT_FALSE(Flatten(profile, MakeProgram(profile, DeriveEffects(profile))).has_value());
}

TEST(RecomputeSearchTest, FindsTheFastestScheduleOfNearlyEveryTinyProgram) {
  constexpr std::uint32_t kSeedCount = 400;
  int solved_count = 0;
  int fastest_count = 0;
  for (std::uint32_t seed = 1; seed <= kSeedCount; ++seed) {
    std::mt19937 random(seed);
    fixtures::GraphBuilder graph;
    std::vector<BufferId> values{graph.Persistent("x", BufferRole::kInput, 512)};
    for (int i = 0; i < 8; ++i) {
      const auto any = [&] { return values[random() % values.size()]; };
      const auto size_bytes = static_cast<std::int64_t>(512 * (1 + random() % 4));
      values.push_back(graph.Make("test::f", {any(), any()}, size_bytes,
                                  static_cast<std::int64_t>(1 + random() % 9)));
    }
    graph.profile().buffers[Index(values.back())].role = BufferRole::kOutput;
    graph.EndPhase("step");
    const Case example = CaseOf(graph.Build());
    const ScheduleTotals keep_all = Measure(example.profile, example.program,
                                            KeepAllSchedule(example.profile, example.program));
    const std::int64_t budget_bytes = keep_all.peak_bytes * 3 / 4;
    const std::optional<std::int64_t> fastest_ns = FastestDurationNs(example.profile, budget_bytes);

    RecomputeSearch search(
        example.flat,
        static_cast<std::int32_t>((budget_bytes - example.program.persistent_bytes) / 512), seed,
        {});
    if (!search.HasPlan()) {
      solved_count += fastest_ns ? 1 : 0;
      continue;
    }
    search.Run(300, 1);
    search.Run(300, 0.5);
    search.Run(300, 0);

    ASSERT_TRUE(fastest_ns.has_value());
    ASSERT_GE(keep_all.duration_ns + search.best_ns(), *fastest_ns);
    ++solved_count;
    fastest_count += keep_all.duration_ns + search.best_ns() == *fastest_ns ? 1 : 0;
  }
  EXPECT_GT(solved_count, 100);
  EXPECT_GE(fastest_count * 100, solved_count * 80) << fastest_count << " of " << solved_count;
}

}  // namespace
}  // namespace stint
