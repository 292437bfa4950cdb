// Several cuts at once: what they prove in integers and what is claimed in whole numbers must both
// be below what brute force reaches, and whole numbers reach it where one cut cannot.
#include <gtest/gtest.h>

#include <optional>
#include <random>
#include <vector>

#include "ir/check_certificate.h"
#include "planner/cut_guide.h"
#include "planner/few_cuts.h"
#include "planner/flat_program.h"
#include "planner/make_plan.h"
#include "planner/peak_cut.h"
#include "planner/schedule.h"
#include "tests/planner/brute_force.h"
#include "tests/planner/tiny_profile.h"
#include "tests/support/graphs.h"

namespace stint {
namespace {

constexpr std::uint32_t kSeedCount = 1000;

struct Case {
  explicit Case(Profile profile_in)
      : profile(std::move(profile_in)),
        program(MakeProgram(profile, DeriveEffects(profile))),
        keep_all(Measure(profile, program, KeepAllSchedule(profile, program))) {}

  Profile profile;
  Program program;
  ScheduleTotals keep_all;
};

/// Every op that may be one.
std::vector<OpId> AllCuts(const Program& program) {
  std::vector<OpId> cuts{};
  for (const ProgramOp& op : program.ops) {
    if (!op.creates.empty()) cuts.push_back(op.id);
  }
  return cuts;
}

std::int64_t Proven(const Profile& profile, Certificate certificate) {
  certificate.plan_class = "updates-movable";
  return ProvenDurationNs(profile, certificate, "certificate");
}

/// Forward and backward of a chain: each of the `count` values is read again on the way back.
Profile ThereAndBack(std::uint32_t seed, int count) {
  std::mt19937 random(seed);
  fixtures::GraphBuilder graph;
  std::vector<BufferId> there{graph.Persistent("x", BufferRole::kInput, 512)};
  const auto any_bytes = [&] { return static_cast<std::int64_t>(512 * (1 + random() % 3)); };
  const auto any_ns = [&] { return static_cast<std::int64_t>(1 + random() % 9); };
  for (int i = 0; i < count; ++i) {
    there.push_back(graph.Make("test::f", {there.back()}, any_bytes(), any_ns()));
  }
  BufferId back = there.back();
  for (std::size_t i = there.size() - 1; i > 0; --i) {
    back = graph.Make("test::g", {back, there[i - 1]}, 512, any_ns());
  }
  graph.profile().buffers[Index(back)].role = BufferRole::kOutput;
  graph.EndPhase("step");
  return graph.Build();
}

TEST(FewCutsProperty, NothingProvenOrClaimedIsAboveBruteForce) {
  if (!HasHighs()) GTEST_SKIP() << WhyNoHighs();
  for (std::uint32_t seed = 1; seed <= kSeedCount; ++seed) {
    const Case tiny(seed % 2 == 0 ? TinyProfile(seed) : ThereAndBack(seed, 4));
    const std::vector<OpId> cuts = AllCuts(tiny.program);
    const std::int64_t budget_bytes = tiny.keep_all.peak_bytes * (60 + seed % 30) / 100;
    const std::optional<std::int64_t> fastest_ns = FastestDurationNs(tiny.profile, budget_bytes);
    if (cuts.empty() || !fastest_ns) continue;

    const FewCutBound relaxed = BoundByCuts(tiny.program, cuts, budget_bytes, {});
    const FewCutBound whole = BoundByCuts(tiny.program, cuts, budget_bytes, {.is_whole = true});

    ASSERT_EQ(relaxed.status, LpStatus::kOptimal) << "seed " << seed;
    ASSERT_EQ(whole.status, LpStatus::kOptimal) << "seed " << seed;
    const std::int64_t proven_ns = Proven(tiny.profile, relaxed.certificate);
    ASSERT_LE(proven_ns, *fastest_ns) << "seed " << seed;
    // Rounding multipliers may cost the last nanosecond.
    ASSERT_GE(proven_ns, tiny.keep_all.duration_ns + relaxed.recompute_ns - 1) << "seed " << seed;
    ASSERT_LE(tiny.keep_all.duration_ns + whole.recompute_ns, *fastest_ns) << "seed " << seed;
    ASSERT_GE(whole.recompute_ns, relaxed.recompute_ns) << "seed " << seed;
  }
}

TEST(FewCutsProperty, FractionsProveAtLeastWhatEachCutProvesAlone) {
  if (!HasHighs()) GTEST_SKIP() << WhyNoHighs();
  for (std::uint32_t seed = 1; seed <= kSeedCount / 2; ++seed) {
    const Case tiny(ThereAndBack(seed, 4));
    const std::int64_t budget_bytes = tiny.keep_all.peak_bytes * 7 / 10;
    const std::vector<OpId> cuts = AllCuts(tiny.program);
    std::int64_t best_ns = 0;
    for (const OpId cut : cuts) {
      const PeakCut alone = CutAt(tiny.program, cut, budget_bytes);
      if (alone.is_feasible) best_ns = std::max(best_ns, alone.recompute_ns);
    }
    const FewCutBound all = BoundByCuts(tiny.program, cuts, budget_bytes, {});
    if (all.status == LpStatus::kInfeasible) continue;
    ASSERT_GE(Proven(tiny.profile, all.certificate), tiny.keep_all.duration_ns + best_ns - 1)
        << "seed " << seed;
  }
}

TEST(FewCutsProperty, WholeNumbersProveMostOptimaOfChains) {
  if (!HasHighs()) GTEST_SKIP() << WhyNoHighs();
  int count = 0;
  int tight_count = 0;
  for (std::uint32_t seed = 1; seed <= kSeedCount / 2; ++seed) {
    const Case tiny(ThereAndBack(seed, 4));
    const std::int64_t budget_bytes = tiny.keep_all.peak_bytes * 7 / 10;
    const std::optional<std::int64_t> fastest_ns = FastestDurationNs(tiny.profile, budget_bytes);
    if (!fastest_ns || *fastest_ns == tiny.keep_all.duration_ns) continue;
    const FewCutBound whole =
        BoundByCuts(tiny.program, AllCuts(tiny.program), budget_bytes, {.is_whole = true});
    ++count;
    tight_count += tiny.keep_all.duration_ns + whole.recompute_ns == *fastest_ns ? 1 : 0;
  }
  EXPECT_GT(count, 50);
  EXPECT_GE(tight_count * 10, count * 8) << tight_count << " of " << count;
}

TEST(CutGuideTest, RunsAgainRightBeforeTheFirstReader) {
  // x -> A -> a -> B -> b -> P; then Q reads b, R reads a. A and B run again after P: both in Q's
  // stage, because B' reads a.
  fixtures::GraphBuilder graph;
  const BufferId x = graph.Persistent("x", BufferRole::kInput, 512);
  const BufferId a = graph.Make("test::A", {x}, 512, 1);
  const BufferId b = graph.Make("test::B", {a}, 512, 1);
  const BufferId p = graph.Make("test::P", {b}, 512, 1);
  const BufferId q = graph.Make("test::Q", {p, b}, 512, 1);
  const BufferId r = graph.Make("test::R", {q, a}, 512, 1);
  graph.profile().buffers[Index(r)].role = BufferRole::kOutput;
  graph.EndPhase("step");
  const Case example(graph.Build());
  const FlatProgram flat = *Flatten(example.profile, example.program);

  const std::vector<Insertion> insertions =
      InsertionsOf(example.program, flat, {{.cut = OpId{2}, .runs = {OpId{0}, OpId{1}}}});

  EXPECT_EQ(insertions, (std::vector<Insertion>{{.stage = 3, .op = 1}, {.stage = 3, .op = 0}}));
}

TEST(CutGuideTest, ChoicesOfAPlanAreASolutionOfItsCuts) {
  if (!HasHighs()) GTEST_SKIP() << WhyNoHighs();
  for (std::uint32_t seed = 1; seed <= 200; ++seed) {
    const Case chain(ThereAndBack(seed, 6));
    const FlatProgram flat = *Flatten(chain.profile, chain.program);
    std::mt19937 random(seed);
    InsertionPlan plan(flat);
    for (int i = 0; i < 6; ++i) {
      const auto stage =
          1 + static_cast<std::int32_t>(random() % static_cast<unsigned>(flat.op_count));
      const Insertion insertion{
          .stage = stage, .op = static_cast<std::int32_t>(random() % static_cast<unsigned>(stage))};
      if (plan.CanInsert(insertion)) plan.Insert(insertion);
    }
    const std::int64_t budget_bytes =
        chain.program.persistent_bytes + std::int64_t{512} * plan.peak_units();
    const std::vector<OpId> cuts = AllCuts(chain.program);
    const std::vector<CutChoice> choices = ChoicesOf(chain.program, flat, plan.insertions(), cuts);

    // Every run of an op in some segment is one of the plan's, so a bound that is at most what the
    // plan takes must come out, whatever the solver was given to begin with.
    const FewCutBound bound =
        BoundByCuts(chain.program, cuts, budget_bytes, {.is_whole = true, .start = choices});
    ASSERT_EQ(bound.status, LpStatus::kOptimal) << "seed " << seed;
    ASSERT_LE(bound.recompute_ns, plan.overhead_ns()) << "seed " << seed;
    std::int64_t chosen_ns = 0;
    for (const CutChoice& choice : choices) {
      for (const OpId op : choice.runs) chosen_ns += chain.profile.ops[Index(op)].duration_ns;
    }
    ASSERT_EQ(chosen_ns, plan.overhead_ns()) << "seed " << seed;
  }
}

TEST(SearchTest, ClaimsMoreThanOneCutProves) {
  const Profile profile = ThereAndBack(3, 10);
  const Case chain(profile);
  const PlanAnswer answer = MakePlan(profile, {.budget_bytes = chain.keep_all.peak_bytes * 6 / 10,
                                               .limits_arena = false,
                                               .solver = "search",
                                               .options = {.work_limit = 5'000'000}});

  ASSERT_TRUE(answer.plan.has_value());
  CheckCertificate(profile, *answer.plan);
  const std::string parts = ::testing::PrintToString(answer.plan->solver_parts);
  if (HasHighs()) {
    EXPECT_GT(answer.plan->certificate.claimed_ns, 0) << parts;
  } else {
    EXPECT_NE(parts.find(WhyNoHighs()), std::string::npos) << parts;
    EXPECT_EQ(answer.plan->certificate.claimed_ns, 0);
  }
}

}  // namespace
}  // namespace stint
