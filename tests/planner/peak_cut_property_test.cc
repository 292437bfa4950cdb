// No bound may be above what brute force reaches, and whoever checks a certificate must not need to
// trust whoever wrote it: any multipliers of rows that the checker accepts give a valid bound.
#include <gtest/gtest.h>

#include <optional>
#include <random>
#include <vector>

#include "ir/check_certificate.h"
#include "ir/errors.h"
#include "planner/early_updates.h"
#include "planner/peak_cut.h"
#include "planner/schedule.h"
#include "tests/planner/brute_force.h"
#include "tests/planner/tiny_profile.h"

namespace stint {
namespace {

constexpr std::uint32_t kSeedCount = 1500;

struct Case {
  explicit Case(std::uint32_t seed)
      : profile(TinyProfile(seed)),
        effects(DeriveEffects(profile)),
        recorded(MakeProgram(profile, effects)),
        early(MakeProgram(profile, effects, EarlyUpdateOrder(profile, effects))),
        keep_all(Measure(profile, recorded, KeepAllSchedule(profile, recorded))) {}

  Profile profile;
  std::vector<OpEffects> effects;
  Program recorded;
  Program early;
  ScheduleTotals keep_all;
};

std::int64_t Proven(const Profile& profile, Certificate certificate) {
  certificate.plan_class = "updates-movable";
  return ProvenDurationNs(profile, certificate, "certificate");
}

TEST(PeakCutProperty, NoCutProvesMoreThanBruteForceReaches) {
  for (std::uint32_t seed = 1; seed <= kSeedCount; ++seed) {
    const Case tiny(seed);
    for (const int percent : {90, 75, 60}) {
      const std::int64_t budget_bytes = tiny.keep_all.peak_bytes * percent / 100;
      const std::optional<std::int64_t> fastest_ns = FastestDurationNs(tiny.profile, budget_bytes);
      for (const ProgramOp& op : tiny.recorded.ops) {
        if (op.creates.empty()) continue;
        const PeakCut cut = CutAt(tiny.recorded, op.id, budget_bytes);
        if (!cut.is_feasible) {
          ASSERT_FALSE(fastest_ns.has_value()) << "seed " << seed << " op " << Index(op.id);
          continue;
        }
        const std::int64_t proven_ns = tiny.keep_all.duration_ns + cut.recompute_ns;
        ASSERT_EQ(Proven(tiny.profile, cut.certificate), proven_ns) << "seed " << seed;
        if (fastest_ns) {
          ASSERT_LE(proven_ns, *fastest_ns) << "seed " << seed;
        }
      }
    }
  }
}

TEST(PeakCutProperty, TheBestCutIsTightInManySmallPrograms) {
  int tight_count = 0;
  int count = 0;
  for (std::uint32_t seed = 1; seed <= kSeedCount; ++seed) {
    const Case tiny(seed);
    const std::int64_t budget_bytes = tiny.keep_all.peak_bytes * 3 / 4;
    const std::optional<std::int64_t> fastest_ns = FastestDurationNs(tiny.profile, budget_bytes);
    if (!fastest_ns || *fastest_ns == tiny.keep_all.duration_ns) continue;
    const PeakCut cut = BestCut(tiny.recorded, tiny.early, budget_bytes, 12);
    ASSERT_TRUE(cut.is_feasible);
    ++count;
    tight_count += tiny.keep_all.duration_ns + cut.recompute_ns == *fastest_ns ? 1 : 0;
  }
  EXPECT_GT(count, 100);
  EXPECT_GT(tight_count * 4, count) << tight_count << " of " << count;
}

/// Rows of all kinds with random multipliers, of which the checker takes each by itself.
Certificate RandomCertificate(const Profile& profile, std::int64_t budget_bytes,
                              std::mt19937& random) {
  Certificate certificate{.method = "cuts", .limit_bytes = budget_bytes, .scale = 8};
  const auto op_count = static_cast<std::uint32_t>(profile.ops.size());
  for (std::uint32_t op = 1; op < op_count; ++op) {
    certificate.cuts.push_back(OpId{static_cast<std::int32_t>(op)});
    try {
      Proven(profile, certificate);
    } catch (const InputError&) {
      certificate.cuts.pop_back();
    }
    if (!certificate.cuts.empty() && random() % 2 == 0) certificate.cuts.pop_back();
  }
  if (certificate.cuts.empty()) return certificate;
  for (int i = 0; i < 120; ++i) {
    const auto row = static_cast<BoundRow>(random() % 7);
    BoundRows rows{.row = row,
                   .cut = static_cast<std::int32_t>(random() % certificate.cuts.size()),
                   .multipliers = {static_cast<std::int64_t>(random() % 40)}};
    const bool has_op =
        row == BoundRow::kClosure || row == BoundRow::kSuffixClosure || row == BoundRow::kSuffixSum;
    if (has_op) rows.ops = {OpId{static_cast<std::int32_t>(random() % op_count)}};
    if (row != BoundRow::kMemory && row != BoundRow::kSuffixSum) {
      rows.buffers = {BufferId{static_cast<std::int32_t>(random() % profile.buffers.size())}};
    }
    if (row == BoundRow::kMemory) rows.multipliers[0] = static_cast<std::int64_t>(random() % 30);
    Certificate alone = certificate;
    alone.rows = {rows};
    try {
      Proven(profile, alone);
    } catch (const InputError&) {
      continue;
    }
    certificate.rows.push_back(rows);
  }
  return certificate;
}

TEST(CertificateProperty, AnyMultipliersOfAcceptedRowsGiveAValidBound) {
  int strong_count = 0;
  for (std::uint32_t seed = 1; seed <= kSeedCount; ++seed) {
    const Case tiny(seed);
    std::mt19937 random(seed);
    const std::int64_t budget_bytes = tiny.keep_all.peak_bytes * 3 / 4;
    const std::optional<std::int64_t> fastest_ns = FastestDurationNs(tiny.profile, budget_bytes);
    if (!fastest_ns) continue;
    for (int round = 0; round < 4; ++round) {
      const Certificate certificate = RandomCertificate(tiny.profile, budget_bytes, random);
      const std::int64_t proven_ns = Proven(tiny.profile, certificate);
      ASSERT_LE(proven_ns, *fastest_ns) << "seed " << seed << " round " << round;
      strong_count += proven_ns > tiny.keep_all.duration_ns ? 1 : 0;
    }
  }
  EXPECT_GT(strong_count, 0);
}

TEST(CertificateProperty, RefusesRowsThatAreNotOfTheRelaxation) {
  int refused_count = 0;
  for (std::uint32_t seed = 1; seed <= 200; ++seed) {
    const Case tiny(seed);
    const std::int64_t budget_bytes = tiny.keep_all.peak_bytes * 3 / 4;
    const PeakCut cut = BestCut(tiny.recorded, tiny.early, budget_bytes, 12);
    if (!cut.is_feasible || cut.recompute_ns == 0) continue;
    const auto expect_refused = [&](const auto& change) {
      Certificate certificate = cut.certificate;
      change(certificate);
      EXPECT_THROW(Proven(tiny.profile, certificate), InputError) << "seed " << seed;
      ++refused_count;
    };
    expect_refused([](Certificate& it) { it.scale = 0; });
    expect_refused([](Certificate& it) { it.limit_bytes = -1; });
    expect_refused([](Certificate& it) { it.cuts.push_back(it.cuts.front()); });
    expect_refused([&](Certificate& it) { it.cuts = {OpId{tiny.recorded.op_count}}; });
    expect_refused([](Certificate& it) { it.cuts.clear(); });
    expect_refused([](Certificate& it) { it.rows[0].multipliers = {-1}; });
    expect_refused([](Certificate& it) { it.rows[0].cut = 1; });
    expect_refused([](Certificate& it) { it.rows[1].multipliers.push_back(1); });
    // The weight is persistent: resident anyway.
    expect_refused([](Certificate& it) { it.rows[1].buffers[0] = BufferId{0}; });
    expect_refused([&](Certificate& it) {
      const auto buffer_count = static_cast<std::int32_t>(tiny.profile.buffers.size());
      it.rows[1].buffers[0] = BufferId{buffer_count};
    });
  }
  EXPECT_GT(refused_count, 100);
}

}  // namespace
}  // namespace stint
