#include "planner/joint_bound.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "ir/check_certificate.h"
#include "ir/check_copy_certificate.h"
#include "ir/copy_floor.h"
#include "ir/errors.h"
#include "ir/first_runs.h"
#include "planner/early_updates.h"
#include "planner/linear_program.h"
#include "planner/make_plan.h"
#include "tests/planner/copy_brute_force.h"
#include "tests/support/graphs.h"

namespace stint {
namespace {

///     op               blocks              ns
///     F   x -> a       a 1                 1,000
///     G   a -> g       g 1                 1,000
///     U   g -> (w, m)  w 4, m 8            1,000
///
/// x takes 1 block. 1,000 ns a block and way.
Profile Step() {
  fixtures::GraphBuilder graph;
  const BufferId x = graph.Persistent("x", BufferRole::kInput, 512);
  const BufferId w = graph.Persistent("w", BufferRole::kWeight, 4 * 512);
  const BufferId m = graph.Persistent("m", BufferRole::kOptimizerState, 8 * 512);
  const BufferId a = graph.Make("test::f", {x}, 512, 1'000);
  const BufferId g = graph.Make("test::g", {a}, 512, 1'000);
  graph.Run("test::adam_", {g}, {w, m}, {}, 1'000);
  graph.EndPhase("step");
  Profile profile = graph.Build();
  profile.device = TinyDevice({1'000});
  return profile;
}

JointBoundRequest Within(std::int64_t blocks) {
  return {.arena_bytes = blocks * 512, .small_bytes = 0};
}

TEST(JointBoundTest, ClosedFormFetchesWhatDoesNotFitAtTheCut) {
  const Profile profile = Step();
  // At G: a, g take 2 blocks. Of 14, 12 are free for w and m: nothing must be fetched after it.
  EXPECT_EQ(ClosedFormJointBound(profile, DeriveEffects(profile), Within(14)).duration_ns, 3'000);
  // Of 13, 11 are free: F, then at least 1 block is fetched; less than the sum of durations.
  // Of 8, 6 are free: F takes 1,000 ns, then at least 6 of 12 blocks are fetched, 6,000 ns.
  const JointBound bound = ClosedFormJointBound(profile, DeriveEffects(profile), Within(8));
  EXPECT_NEAR(static_cast<double>(bound.duration_ns), 7'000, 20);
  EXPECT_EQ(bound.certificate.cuts, (std::vector<OpId>{OpId{0}, OpId{1}}));
}

TEST(JointBoundTest, IsTheSumOfDurationsWhereNothingIsKnownOfCopies) {
  Profile profile = Step();
  profile.device = {};
  const JointBound bound = ProveJointBound(profile, DeriveEffects(profile), Within(3));
  EXPECT_EQ(bound.duration_ns, 3'000);
  EXPECT_TRUE(bound.certificate.cuts.empty());
}

TEST(JointBoundTest, RisesWithLessMemoryAndASlowerLink) {
  if (!HasHighs()) GTEST_SKIP() << WhyNoHighs();
  Profile profile = Step();
  const std::vector<OpEffects> effects = DeriveEffects(profile);
  std::int64_t last_ns = 0;
  for (const std::int64_t blocks : {18, 14, 12, 10, 8, 6}) {
    const std::int64_t bound_ns =
        ProveJointBoundAt(profile, effects, Within(blocks), {0, 1}).duration_ns;
    EXPECT_GE(bound_ns + 5, last_ns) << blocks;
    last_ns = bound_ns;
  }
  for (const std::int64_t copy_ns : {1'500, 2'000, 4'000}) {
    profile.device = TinyDevice({copy_ns});
    const std::int64_t bound_ns =
        ProveJointBoundAt(profile, effects, Within(6), {0, 1}).duration_ns;
    EXPECT_GT(bound_ns, last_ns) << copy_ns;
    last_ns = bound_ns;
  }
}

TEST(JointBoundTest, SmallerShardsAndAFullHostCostMore) {
  if (!HasHighs()) GTEST_SKIP() << WhyNoHighs();
  Profile profile = Step();
  // 1,000 ns for each copy, besides.
  for (CopyTime& time : profile.device.copy_times) {
    time.to_host_ns += 1'000;
    time.to_device_ns += 1'000;
    time.both_ns += 1'000;
  }
  const std::vector<OpEffects> effects = DeriveEffects(profile);
  JointBoundRequest request = Within(8);
  const std::int64_t any_ns = ProveJointBoundAt(profile, effects, request, {0, 1}).duration_ns;
  request.largest_copy_bytes = 4 * 512;
  const std::int64_t small_ns = ProveJointBoundAt(profile, effects, request, {0, 1}).duration_ns;
  EXPECT_GT(small_ns, any_ns);
  // At least 6 of 12 blocks are on the host at the cut, and no more than 7 at any.
  request.host_bytes = 7 * 512;
  const std::int64_t full_ns = ProveJointBoundAt(profile, effects, request, {0, 1}).duration_ns;
  EXPECT_GE(full_ns + 5, small_ns);
  // With room for 2 there is no plan at all.
  request.host_bytes = 2 * 512;
  EXPECT_EQ(ProveJointBoundAt(profile, effects, request, {0, 1}).part,
            "joint bound: windows: nothing fits");
}

TEST(JointBoundTest, GuideNamesTheGapsThatAreEvicted) {
  if (!HasHighs()) GTEST_SKIP() << WhyNoHighs();
  const Profile profile = Step();
  const JointBound bound = ProveJointBoundAt(profile, DeriveEffects(profile), Within(8), {0, 1});
  ASSERT_FALSE(bound.guide.gaps.empty());
  double evicted_blocks = 0;
  for (const JointGap& gap : bound.guide.gaps) {
    if (gap.buffer == BufferId{1}) evicted_blocks += 4 * gap.evicted;
    if (gap.buffer == BufferId{2}) evicted_blocks += 8 * gap.evicted;
  }
  // w and m are used by U alone: their gap goes round. Of their 12 blocks 6 do not fit; they are
  // alike, so the guide shares that out by number, not by size.
  EXPECT_GE(evicted_blocks, 4.0);
  EXPECT_EQ(bound.guide.cuts.size(), 2U);
  EXPECT_EQ(bound.guide.order.size(), 3U);
}

TEST(FirstRunsTest, AgreeWithThePlannersOrder) {
  for (std::uint32_t seed = 1; seed <= 200; ++seed) {
    const Profile profile = fixtures::RandomProfile(seed);
    const bool repeats = std::ranges::any_of(
        profile.phases, [](const Phase& phase) { return phase.repeat_count > 1; });
    if (repeats) continue;
    const std::vector<OpEffects> effects = DeriveEffects(profile);
    EXPECT_EQ(FirstRunsOf(profile, effects, UpdatePlace::kAtOnce).order,
              EarlyUpdateOrder(profile, effects))
        << seed;
    EXPECT_EQ(FirstRunsOf(profile, effects, UpdatePlace::kRecorded).order, RecordedOrder(profile));
  }
}

// -- The checker ---------------------------------------------------------------------------------

/// Keeps everything, and claims the closed form's bound for 8 blocks... of its own arena.
Plan PlanWithBound(const Profile& profile) {
  Plan plan = *MakePlan(profile, {.has_budget = false, .solver = "keep-all"}).plan;
  JointBoundRequest request = Within(plan.arena_bytes / 512);
  request.updates = UpdateOrder::kRecorded;
  const JointBound bound = ClosedFormJointBound(profile, DeriveEffects(profile), request);
  plan.certificate = bound.certificate;
  plan.lower_bound_ns = bound.duration_ns;
  return plan;
}

TEST(CopyCertificateTest, AcceptsAPlanOfItsClass) {
  const Profile profile = Step();
  const Plan plan = PlanWithBound(profile);
  EXPECT_NO_THROW(CheckCertificate(profile, plan));
  EXPECT_NO_THROW(CheckCertificate(profile, PlanFromJson(ToJson(plan), "plan")));
}

TEST(CopyCertificateTest, RefusesAPlanOutsideItsLimits) {
  const Profile profile = Step();
  Plan plan = PlanWithBound(profile);
  plan.certificate.limit_bytes -= 512;
  EXPECT_THROW(CheckCertificate(profile, plan), InputError);
}

TEST(CopyCertificateTest, RefusesABoundThatItDoesNotProve) {
  const Profile profile = Step();
  Plan plan = PlanWithBound(profile);
  ++plan.lower_bound_ns;
  EXPECT_THROW(CheckCertificate(profile, plan), InputError);
}

TEST(CopyCertificateTest, RefusesAPlanInAnotherOrder) {
  // The update was recorded after H, which it need not follow.
  fixtures::GraphBuilder graph;
  const BufferId w = graph.Persistent("w", BufferRole::kWeight, 512);
  const BufferId g = graph.Make("test::g", {w}, 512, 1'000);
  graph.Make("test::h", {g}, 512, 1'000);
  graph.Run("test::sgd_", {g}, {w}, {}, 1'000);
  graph.EndPhase("step");
  Profile profile = graph.Build();
  profile.device = TinyDevice({1'000});
  Plan plan = PlanWithBound(profile);
  EXPECT_NO_THROW(CheckCertificate(profile, plan));
  plan.certificate.plan_class = "updates-movable-copies";
  EXPECT_NO_THROW(CheckCertificate(profile, plan));
  plan.certificate.plan_class = "updates-at-once-copies";
  EXPECT_THROW(CheckCertificate(profile, plan), InputError);
}

/// The closed form's certificate for 8 blocks, changed.
template <typename Change>
std::int64_t ProvenAfter(Change change) {
  const Profile profile = Step();
  Certificate certificate =
      ClosedFormJointBound(profile, DeriveEffects(profile), Within(8)).certificate;
  change(certificate);
  return ProvenDurationWithCopiesNs(profile, certificate, "certificate");
}

BoundRows& RowsOf(Certificate& certificate, BoundRow row) {
  return *std::ranges::find(certificate.rows, row, &BoundRows::row);
}

TEST(CopyCertificateTest, MultipliersOfTimeAboveItsCostProveNothing) {
  EXPECT_THROW(ProvenAfter([](Certificate& certificate) {
                 RowsOf(certificate, BoundRow::kToDevice).multipliers[0] *= 2;
               }),
               InputError);
}

TEST(CopyCertificateTest, OtherMultipliersProveLess) {
  const std::int64_t proven_ns = ProvenAfter([](Certificate&) {});
  for (const BoundRow row : {BoundRow::kMemory, BoundRow::kSuffixNeed}) {
    EXPECT_LT(ProvenAfter(
                  [&](Certificate& certificate) { RowsOf(certificate, row).multipliers[0] *= 3; }),
              proven_ns);
    EXPECT_LT(ProvenAfter(
                  [&](Certificate& certificate) { RowsOf(certificate, row).multipliers[0] /= 3; }),
              proven_ns);
  }
}

TEST(CopyCertificateTest, RefusesRowsAboutWhatIsNotThere) {
  const auto refuses = [](BoundRows rows) {
    EXPECT_THROW(ProvenAfter([&](Certificate& certificate) { certificate.rows = {rows}; }),
                 InputError)
        << ToString(rows.row);
  };
  // g is made after cut 1 begins, a after cut 0, nothing uses x after cut 1.
  refuses({.row = BoundRow::kNeed, .cut = 1, .buffers = {BufferId{4}}, .multipliers = {1}});
  refuses({.row = BoundRow::kSomewhere, .cut = 0, .buffers = {BufferId{3}}, .multipliers = {1}});
  refuses({.row = BoundRow::kSuffixNeed, .cut = 1, .buffers = {BufferId{0}}, .multipliers = {1}});
  refuses({.row = BoundRow::kMemory, .cut = 2, .multipliers = {1}});
  refuses({.row = BoundRow::kMemory, .cut = 1, .multipliers = {-1}});
  refuses({.row = BoundRow::kHostMemory, .cut = 1, .multipliers = {1}});
  refuses({.row = BoundRow::kClosure,
           .cut = 1,
           .ops = {OpId{2}},
           .buffers = {BufferId{3}},
           .multipliers = {1}});
}

TEST(CopyFloorTest, IsNeverAboveWhatWasMeasured) {
  const Device device{.copy_times = {{1'000, 2'000, 3'000, 3'000}, {9'000, 10'000, 7'000, 12'000}}};
  const CopyFloor floor(device, 0, 0);
  // Half way from 2,000 to 10,000, less the nanosecond that others may round away.
  EXPECT_EQ(floor.OwnNs(CopyWay::kToHost, 5'000), 5'999);
  EXPECT_EQ(floor.OwnNs(CopyWay::kToDevice, 18'000), 13'999);
  // A byte takes least in the largest copy: 10,000 / 9,000 and 7,000 / 9,000.
  EXPECT_EQ(floor.SharedNs(CopyWay::kToHost, 900), 999);
  EXPECT_EQ(floor.SharedNs(CopyWay::kToDevice, 900), 699);
  // In copies of at most 1,000 bytes it takes 2 and 3 ns.
  const CopyFloor small(device, 1'000, 0);
  EXPECT_EQ(small.SharedNs(CopyWay::kToHost, 900), 1'799);
}

}  // namespace
}  // namespace stint
