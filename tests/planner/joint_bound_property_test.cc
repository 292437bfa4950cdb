// Bounds for plans with copies against schedules found by trying: no bound may be above what a
// schedule takes, whatever multipliers of accepted rows it comes from.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <random>
#include <vector>

#include "ir/check_copy_certificate.h"
#include "ir/errors.h"
#include "ir/units.h"
#include "planner/joint_bound.h"
#include "planner/linear_program.h"
#include "planner/solver.h"
#include "tests/planner/copy_brute_force.h"
#include "tests/planner/tiny_profile.h"
#include "tests/support/graphs.h"

namespace stint {
namespace {

constexpr std::uint32_t kSeedCount = 240;

/// Forward, and two gradients with momentum: 5 ops, most bytes in the moments.
Profile TinyStep(std::mt19937& random) {
  fixtures::GraphBuilder graph;
  const auto blocks = [&](std::uint32_t least, std::uint32_t most) {
    return static_cast<std::int64_t>(512 * (least + random() % (most - least + 1)));
  };
  const auto ns = [&] { return static_cast<std::int64_t>(1'000 * (1 + random() % 3)); };
  const BufferId x = graph.Persistent("x", BufferRole::kInput, 512);
  const BufferId m1 = graph.Persistent("m1", BufferRole::kOptimizerState, blocks(1, 4));
  const BufferId m2 = graph.Persistent("m2", BufferRole::kOptimizerState, blocks(2, 4));
  const BufferId a = graph.Make("test::f", {x}, blocks(1, 3), ns());
  const BufferId g1 = graph.Make("test::b1", {a}, blocks(1, 2), ns());
  if (random() % 2 == 0) graph.Run("test::sgd_", {g1}, {m1}, {}, ns());
  const BufferId g2 = graph.Make("test::b2", {a}, blocks(1, 2), ns());
  if (graph.profile().ops.size() == 3) graph.Run("test::sgd_", {g1}, {m1}, {}, ns());
  graph.Run("test::sgd_", {g2}, {m2}, {}, ns());
  graph.EndPhase("step");
  return graph.Build();
}

/// Activations only, made from nothing: forward, and gradients that read two of them each.
Profile TinyActivations(std::mt19937& random) {
  fixtures::GraphBuilder graph;
  const auto blocks = [&] { return static_cast<std::int64_t>(512 * (1 + random() % 4)); };
  const auto ns = [&] { return static_cast<std::int64_t>(1'000 * (1 + random() % 4)); };
  std::vector<BufferId> made{};
  for (int i = 0; i < 3; ++i) {
    std::vector<BufferId> reads{};
    if (i > 0) reads.push_back(random() % 4 == 0 ? made.front() : made.back());
    made.push_back(graph.Make("test::f", reads, blocks(), ns()));
  }
  BufferId gradient = made.back();
  for (int i = 1; i >= 0; --i) {
    gradient = graph.Make("test::b", {gradient, made[static_cast<std::size_t>(i)]}, blocks(), ns());
  }
  graph.EndPhase("step");
  return graph.Build();
}

struct Case {
  explicit Case(std::uint32_t seed_of) : seed(seed_of), random(seed_of) {
    link = {.copy_ns_per_block = 1'000 * static_cast<std::int64_t>(1 + random() % 2)};
    if (seed % 8 == 3) {
      profile = TinyActivations(random);
    } else if (seed % 4 != 0) {
      profile = TinyStep(random);
    } else {
      profile = TinyProfile(seed);
      for (std::uint32_t other = 1'000; profile.ops.size() > 4; other += 1'000) {
        profile = TinyProfile(seed + other);
      }
      for (Op& op : profile.ops) op.duration_ns *= 1'000;
    }
    profile.device = TinyDevice(link);
    effects = DeriveEffects(profile);
    std::int64_t most_bytes = 0;  // That an op needs to run.
    for (const OpEffects& effect : effects) {
      std::int64_t bytes = 0;
      for (const Value& value : effect.reads) {
        bytes += AlignUp(profile.buffers[Index(value.buffer)].size_bytes);
      }
      for (const BufferId made : effect.creates) {
        bytes += AlignUp(profile.buffers[Index(made)].size_bytes);
      }
      most_bytes = std::max(most_bytes, bytes);
    }
    limit_bytes = most_bytes + 512 * static_cast<std::int64_t>(random() % 2);
  }

  void FindFastest() {
    const std::vector<OpId> recorded = JointOrder(profile, effects, UpdateOrder::kRecorded);
    const std::vector<OpId> at_once = JointOrder(profile, effects, UpdateOrder::kAtOnce);
    fastest_ns[0] = FastestWithCopiesNs(profile, recorded, limit_bytes, link);
    fastest_ns[1] = recorded == at_once ? fastest_ns[0]
                                        : FastestWithCopiesNs(profile, at_once, limit_bytes, link);
    // Updates that may move may be in either place.
    fastest_ns[2] = fastest_ns[0] ? fastest_ns[0] : fastest_ns[1];
    if (fastest_ns[1]) fastest_ns[2] = std::min(fastest_ns[2], fastest_ns[1]);
  }

  /// 0, and each other place that can be a cut, or not.
  std::vector<std::int32_t> RandomCuts(UpdateOrder updates) {
    const std::vector<OpId> order = JointOrder(profile, effects, updates);
    std::vector<std::int32_t> cuts{0};
    for (std::size_t place = 1; place < order.size(); ++place) {
      const bool can_be_cut = !effects[Index(order[place])].creates.empty();
      if (can_be_cut && random() % 2 == 0) cuts.push_back(static_cast<std::int32_t>(place));
    }
    return cuts;
  }

  std::uint32_t seed = 0;
  std::mt19937 random;
  TinyLink link{};
  Profile profile{};
  std::vector<OpEffects> effects{};
  std::int64_t limit_bytes = 0;
  std::optional<std::int64_t> fastest_ns[3] = {};  // By kOrders.
};

constexpr UpdateOrder kOrders[] = {UpdateOrder::kRecorded, UpdateOrder::kAtOnce,
                                   UpdateOrder::kMovable};

/// Solved once for all tests.
std::vector<Case> SolvedCases() {
  static const std::vector<Case> solved = [] {
    std::vector<Case> cases{};
    for (std::uint32_t seed = 1; seed <= kSeedCount; ++seed) {
      Case tiny(seed);
      if (!HasJointProgram(tiny.profile, tiny.effects)) continue;
      tiny.FindFastest();
      cases.push_back(std::move(tiny));
    }
    return cases;
  }();
  return solved;
}

TEST(JointBoundProperty, ProvesNoMoreThanAScheduleTakes) {
  int strong_count = 0;
  int tight_count = 0;
  int count = 0;
  int acyclic_count = 0;  // Strong ones of programs without state.
  for (Case& tiny : SolvedCases()) {
    for (std::size_t i = 0; i < 3; ++i) {
      const UpdateOrder updates = kOrders[i];
      const std::optional<std::int64_t> fastest_ns = tiny.fastest_ns[i];
      if (!fastest_ns) continue;
      ++count;
      const JointBoundRequest request{
          .updates = updates, .arena_bytes = tiny.limit_bytes, .small_bytes = 0};
      std::int64_t best_ns = ClosedFormJointBound(tiny.profile, tiny.effects, request).duration_ns;
      ASSERT_LE(best_ns, *fastest_ns) << "closed form, seed " << tiny.seed;
      for (int round = 0; round < 3; ++round) {
        const JointBound bound =
            ProveJointBoundAt(tiny.profile, tiny.effects, request, tiny.RandomCuts(updates));
        ASSERT_LE(bound.duration_ns, *fastest_ns)
            << "seed " << tiny.seed << " order " << static_cast<int>(updates);
        if (bound.relaxation_ns > static_cast<double>(KeepAllDurationNs(tiny.profile))) {
          // The checker's own rows say the same as the solver's.
          EXPECT_NEAR(static_cast<double>(bound.duration_ns), bound.relaxation_ns,
                      0.002 * bound.relaxation_ns + 20)
              << "seed " << tiny.seed;
        }
        best_ns = std::max(best_ns, bound.duration_ns);
      }
      const bool is_strong = best_ns > KeepAllDurationNs(tiny.profile);
      const bool has_state = std::ranges::any_of(tiny.profile.buffers, &Buffer::is_persistent);
      strong_count += is_strong ? 1 : 0;
      acyclic_count += is_strong && !has_state ? 1 : 0;
      tight_count += best_ns > *fastest_ns * 95 / 100 ? 1 : 0;
    }
  }
  EXPECT_GT(count, 100);
  EXPECT_GT(tight_count, 10) << "of " << count;
  if (HasHighs()) {
    EXPECT_GT(strong_count, 20) << "of " << count;
    EXPECT_GT(acyclic_count, 4) << "of " << count;
  }
}

TEST(JointBoundProperty, NoMoreWindowsThanAskedForAndTheBestOfThemCounts) {
  if (!HasHighs()) GTEST_SKIP() << WhyNoHighs();
  for (Case& tiny : SolvedCases()) {
    if (tiny.seed % 4 != 3) continue;  // Steps and activations by turns.
    const JointBoundRequest request{.arena_bytes = tiny.limit_bytes, .small_bytes = 0};
    JointBoundRequest few = request;
    few.forward_count = few.backward_count = 1;
    const JointBound some = ProveJointBound(tiny.profile, tiny.effects, few);
    const JointBound all = ProveJointBound(tiny.profile, tiny.effects, request);
    EXPECT_GE(all.duration_ns, some.duration_ns) << "seed " << tiny.seed;
    EXPECT_LE(some.certificate.cuts.size(), 3U) << "seed " << tiny.seed;
    if (!tiny.fastest_ns[1]) continue;
    EXPECT_LE(all.duration_ns, *tiny.fastest_ns[1]) << "seed " << tiny.seed;
  }
}

TEST(JointBoundProperty, WithoutStateMoreCutsProveNoLess) {
  if (!HasHighs()) GTEST_SKIP() << WhyNoHighs();
  int strong_count = 0;
  for (std::uint32_t seed = 1; seed <= 4 * kSeedCount; ++seed) {
    Case tiny(8 * seed + 3);  // Activations only.
    const JointBoundRequest request{.arena_bytes = tiny.limit_bytes, .small_bytes = 0};
    const std::vector<std::int32_t> cuts = tiny.RandomCuts(UpdateOrder::kAtOnce);
    const JointBound more = ProveJointBoundAt(tiny.profile, tiny.effects, request, cuts);
    if (more.relaxation_ns == 0) continue;  // Nothing fits: that proves more than any number.
    for (std::size_t i = 1; i < cuts.size(); ++i) {
      const std::int64_t one_ns =
          ProveJointBoundAt(tiny.profile, tiny.effects, request, {0, cuts[i]}).duration_ns;
      EXPECT_GE(more.duration_ns + 20, one_ns) << "seed " << seed;  // Multipliers are rounded.
      strong_count += one_ns > KeepAllDurationNs(tiny.profile) ? 1 : 0;
    }
  }
  EXPECT_GT(strong_count, 20);
}

/// One row with a random multiplier; many are none of the relaxation's.
BoundRows RandomRow(const Profile& profile, const Certificate& certificate, std::mt19937& random) {
  const auto row = static_cast<BoundRow>(random() % 19);
  BoundRows rows{.row = row,
                 .cut = static_cast<std::int32_t>(random() % certificate.cuts.size()),
                 .multipliers = {static_cast<std::int64_t>(random() % 40'000)}};
  const bool has_op = row == BoundRow::kClosure || row == BoundRow::kSuffixClosure ||
                      row == BoundRow::kSuffixSum || row == BoundRow::kOrigin ||
                      row == BoundRow::kSuffixOrigin;
  const bool is_time = row == BoundRow::kCompute || row == BoundRow::kSuffixCompute ||
                       row == BoundRow::kToHost || row == BoundRow::kToDevice;
  const bool is_memory = row == BoundRow::kMemory || row == BoundRow::kHostMemory;
  if (has_op) rows.ops = {OpId{static_cast<std::int32_t>(random() % profile.ops.size())}};
  if (!is_time && !is_memory && row != BoundRow::kSuffixSum) {
    rows.buffers = {BufferId{static_cast<std::int32_t>(random() % profile.buffers.size())}};
  }
  if (is_time) rows.multipliers = {static_cast<std::int64_t>(1 + random() % 8)};
  if (is_memory) rows.multipliers = {static_cast<std::int64_t>(random() % 30'000)};
  return rows;
}

/// One multiplier of the certificate changed, or a row more.
void Change(const Profile& profile, Certificate& certificate, std::mt19937& random) {
  if (certificate.rows.empty() || random() % 2 == 0) {
    BoundRows rows = RandomRow(profile, certificate, random);
    for (std::int64_t& multiplier : rows.multipliers) multiplier *= certificate.scale / 8;
    certificate.rows.push_back(std::move(rows));
    return;
  }
  BoundRows& rows = certificate.rows[random() % certificate.rows.size()];
  std::int64_t& multiplier = rows.multipliers[random() % rows.multipliers.size()];
  const std::int64_t tenths[] = {0, 5, 9, 11, 20};
  multiplier = multiplier / 10 * tenths[random() % 5];
}

TEST(CopyCertificateProperty, AnyMultipliersOfAcceptedRowsGiveAValidBound) {
  int accepted_count = 0;
  int strong_count = 0;
  for (Case& tiny : SolvedCases()) {
    for (std::size_t i = 0; i < 3; ++i) {
      const std::optional<std::int64_t> fastest_ns = tiny.fastest_ns[i];
      if (!fastest_ns) continue;
      const JointBoundRequest request{
          .updates = kOrders[i], .arena_bytes = tiny.limit_bytes, .small_bytes = 0};
      Certificate certificate =
          ProveJointBoundAt(tiny.profile, tiny.effects, request, tiny.RandomCuts(kOrders[i]))
              .certificate;
      std::int64_t best_ns = 0;
      for (int round = 0; round < 60; ++round) {
        Certificate changed = certificate;
        Change(tiny.profile, changed, tiny.random);
        std::int64_t proven_ns = 0;
        try {
          proven_ns = ProvenDurationWithCopiesNs(tiny.profile, changed, "certificate");
        } catch (const InputError&) {
          continue;
        }
        ++accepted_count;
        ASSERT_LE(proven_ns, *fastest_ns) << "seed " << tiny.seed << " class " << i;
        // What does not make it worse stays: the walk remains among strong ones.
        if (proven_ns < best_ns) continue;
        best_ns = proven_ns;
        certificate = std::move(changed);
      }
      strong_count += best_ns > KeepAllDurationNs(tiny.profile) ? 1 : 0;
    }
  }
  EXPECT_GT(accepted_count, 2'000);
  if (HasHighs()) {
    EXPECT_GT(strong_count, 4);
  }
}

}  // namespace
}  // namespace stint
