#include "planner/linear_program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

namespace stint {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;

// A sack of 10 with things of worth 10, 13, 7 and weight 5, 7, 4.
LinearProgram Knapsack(bool is_whole) {
  LinearProgram program{};
  program.AddColumn(-10, 0, 1, is_whole);
  program.AddColumn(-13, 0, 1, is_whole);
  program.AddColumn(-7, 0, 1, is_whole);
  program.AddRow(-kNoLimit, 10);
  program.AddEntry(0, 5);
  program.AddEntry(1, 7);
  program.AddEntry(2, 4);
  return program;
}

class LinearProgramTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!HasHighs()) {
      GTEST_SKIP() << WhyNoHighs();
    }
  }
};

TEST_F(LinearProgramTest, TakesPartsOfThingsWithoutWholeColumns) {
  const LpResult result = SolveLinearProgram(Knapsack(false), {});

  // By worth for each unit of weight: 2, 13/7, 7/4: all of the first, 5/7 of the second.
  ASSERT_EQ(result.status, LpStatus::kOptimal);
  EXPECT_THAT(result.values, ElementsAre(DoubleNear(1, 1e-6), DoubleNear(5.0 / 7, 1e-6), 0));
  EXPECT_NEAR(result.bound, -10 - 13 * 5.0 / 7, 1e-6);
  // One more unit of room is worth 13/7; the row binds from above.
  EXPECT_THAT(result.row_duals, ElementsAre(DoubleNear(-13.0 / 7, 1e-6)));
}

TEST_F(LinearProgramTest, TakesWholeThings) {
  const LpResult result = SolveLinearProgram(Knapsack(true), {});

  // 5 + 4 fit and are worth 17; 7 + 4 and 5 + 7 do not fit.
  ASSERT_EQ(result.status, LpStatus::kOptimal);
  EXPECT_NEAR(result.objective, -17, 1e-6);
  EXPECT_NEAR(result.bound, -17, 1e-3);
}

TEST_F(LinearProgramTest, GivesDualsOfInteriorPoints) {
  const LpResult result = SolveLinearProgram(Knapsack(false), {.method = LpMethod::kInteriorPoint});

  ASSERT_EQ(result.status, LpStatus::kOptimal);
  EXPECT_THAT(result.row_duals, ElementsAre(DoubleNear(-13.0 / 7, 1e-4)));
}

TEST_F(LinearProgramTest, SaysThatNothingFits) {
  LinearProgram program = Knapsack(true);
  program.AddRow(4, kNoLimit);
  program.AddEntry(0, 1);

  EXPECT_EQ(SolveLinearProgram(program, {}).status, LpStatus::kInfeasible);
}

TEST_F(LinearProgramTest, StopsWhenAsked) {
  const std::atomic<bool> stop = true;
  LinearProgram program{};
  // Equal halves of many odd things: hard for branch and bound.
  program.AddRow(0, 0);
  for (int i = 0; i < 60; ++i) {
    const std::int32_t column = program.AddColumn(-1.0 - 0.001 * ((i * 37) % 60), 0, 1, true);
    program.AddEntry(column, 1000 + (i * 7919) % 997);
  }
  const std::int32_t slack = program.AddColumn(0, 0, 1, true);
  program.AddEntry(slack, -2 * 31 * 1000 - 1);

  const LpResult result = SolveLinearProgram(program, {.time_limit_s = 600, .stop = &stop});

  EXPECT_EQ(result.status, LpStatus::kFeasible);
}

TEST(LinearProgramWithoutHighsTest, SaysSo) {
  // Loaded once a process: the test's child must be one that has not.
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_EXIT(
      {
        setenv("STINT_HIGHS", "/nowhere/libhighs.so", 1);
        const LpResult result = SolveLinearProgram(Knapsack(false), {});
        std::exit(result.status == LpStatus::kFailed && result.failure == "no HiGHS" ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace stint
