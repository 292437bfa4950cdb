#include "trainer/learning_rate.h"

#include <gtest/gtest.h>

#include "ir/errors.h"

namespace stint {
namespace {

LearningRateSchedule Of(const char* kind) {
  return {.kind = ScheduleKindFromName(kind), .peak = 8, .warmup_step_count = 4, .step_count = 12};
}

TEST(LearningRateTest, WarmsUpInAStraightLineFromZero) {
  for (const char* kind : {"constant", "cosine", "linear"}) {
    for (const auto& [step, rate] : {std::pair{0, 0.0}, {1, 2.0}, {3, 6.0}, {4, 8.0}}) {
      EXPECT_DOUBLE_EQ(LearningRateAt(Of(kind), step), rate) << kind << " " << step;
    }
  }
}

TEST(LearningRateTest, StaysOrFallsToZeroAtTheLastStep) {
  // Half of the eight steps after the warm-up: half a wave and a line are at half the peak.
  EXPECT_DOUBLE_EQ(LearningRateAt(Of("constant"), 8), 8);
  EXPECT_DOUBLE_EQ(LearningRateAt(Of("cosine"), 8), 4);
  EXPECT_DOUBLE_EQ(LearningRateAt(Of("linear"), 8), 4);
  // A quarter: (1 + sqrt(1/2)) / 2 and 3/4 of the peak.
  EXPECT_NEAR(LearningRateAt(Of("cosine"), 6), 4 + 2.8284271247461903, 1e-12);
  EXPECT_DOUBLE_EQ(LearningRateAt(Of("linear"), 6), 6);
  EXPECT_DOUBLE_EQ(LearningRateAt(Of("constant"), 12), 8);
  EXPECT_NEAR(LearningRateAt(Of("cosine"), 12), 0, 1e-12);
  EXPECT_DOUBLE_EQ(LearningRateAt(Of("linear"), 12), 0);
}

TEST(LearningRateTest, RefusesOtherNames) {
  EXPECT_THROW(ScheduleKindFromName("polynomial"), InputError);
}

}  // namespace
}  // namespace stint
