// stint pack: CSV in, CSV out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "ir/plan.h"
#include "ir/profile.h"
#include "tests/cli/stint_program.h"
#include "tests/support/graphs.h"

namespace stint {
namespace {

using ::testing::HasSubstr;

// Two blocks that meet, and one that follows the second: 5 bytes suffice.
constexpr char kBlocks[] = "id,lower,upper,size\na,0,20,2\nb,0,10,3\nc,10,20,1\n";

TEST_F(StintProgramTest, PackWritesOffsetsAndSaysHowGoodTheyAre) {
  Write("in.csv", kBlocks);

  const Outcome outcome = Stint("pack --input in.csv --output out.csv");

  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(Read("out.csv"), "id,lower,upper,size,offset\na,0,20,2,0\nb,0,10,3,2\nc,10,20,1,2\n");
  EXPECT_THAT(outcome.err, HasSubstr("packed 3 blocks: height 5 B, load 5 B"));
  EXPECT_THAT(outcome.err, HasSubstr("proven lowest: the load"));
}

TEST_F(StintProgramTest, PackReadsStandardInputAndPrintsJson) {
  Write("in.csv", kBlocks);

  const Outcome outcome = Shell("\"$STINT\" pack --input - --output out.csv --json < in.csv");

  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const nlohmann::json summary = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(summary["height_bytes"], 5);
  EXPECT_EQ(summary["load_bytes"], 5);
  EXPECT_EQ(summary["gap_percent"], 0);
  EXPECT_EQ(summary["is_proven_lowest"], true);
}

TEST_F(StintProgramTest, PackSaysNoToACapacityBelowTheLoad) {
  Write("in.csv", kBlocks);

  const Outcome outcome = Stint("pack --input in.csv --capacity 4B --output out.csv");

  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_THAT(outcome.err, HasSubstr("stint: --capacity: no packing fits"));
  EXPECT_FALSE(Exists("out.csv"));
}

TEST_F(StintProgramTest, PackTakesWhatAPlanKeeps) {
  WriteProfile(fixtures::ChainWithBackward(), folder_ / "profile.json");
  ASSERT_EQ(Stint("plan --profile profile.json --budget none --output plan.json").exit_code, 0);

  const Outcome outcome =
      Stint("pack --profile profile.json --plan plan.json --output out.csv --json");

  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["load_bytes"],
            ReadPlan(folder_ / "plan.json").peak_bytes);
  const Outcome again = Stint("pack --input out.csv --output again.csv");
  EXPECT_EQ(again.exit_code, 2);
  EXPECT_THAT(again.err, HasSubstr("out.csv:1: has a column offset"));
}

TEST_F(StintProgramTest, PackRefusesABadFileInOneLine) {
  Write("in.csv", "id,lower,upper,size\na,5,3,2\n");

  const Outcome outcome = Stint("pack --input in.csv --output out.csv");

  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_EQ(outcome.err, "stint: in.csv:2: lives from 5 to 3\n");
  EXPECT_FALSE(Exists("out.csv"));
}

}  // namespace
}  // namespace stint
