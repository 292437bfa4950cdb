#include "cli/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace stint {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

TEST(FormatProgressTest, ShowsShareRateAndTimeLeft) {
  // 6 of 24 in 3 s: a quarter, 2 a second, 9 s left.
  EXPECT_EQ(FormatProgress({.what = "running",
                            .unit = "ops",
                            .done_count = 6,
                            .total_count = 24,
                            .elapsed_ns = 3 * kSecond}),
            "running  [######------------------]  25 %  6 of 24 ops  2 ops/s  9.00 s left");
}

TEST(FormatProgressTest, HasNoBarWithoutATotal) {
  EXPECT_EQ(FormatProgress(
                {.what = "profiling", .unit = "ops", .done_count = 100, .elapsed_ns = 4 * kSecond}),
            "profiling  100 ops  25 ops/s");
}

TEST(FormatProgressTest, EndsWithTheClockWhereNothingIsCounted) {
  EXPECT_EQ(
      FormatProgress(
          {.what = "planning", .unit = "steps", .note = "no plan yet", .elapsed_ns = 4 * kSecond}),
      "planning  no plan yet  4.00 s");
}

}  // namespace
}  // namespace stint
