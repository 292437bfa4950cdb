// From nothing to a verified run: profile, plan, simulate, run and report of a small UNet on the
// CPU.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "ir/profile.h"
#include "ir/report.h"
#include "tests/cli/stint_program.h"

namespace stint {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class WholePathTest : public StintProgramTest {
 protected:
  void Profile(const std::string& workload) {
    const Outcome outcome =
        Stint("profile --model tiny-unet " + workload + " --output profile.json");
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  }

  /// The summary of `stint report`, all promises kept.
  nlohmann::json PlanRunAndReport(const std::string& budget) {
    Expect("plan --profile profile.json --work-limit 100000000 " + budget + " --output plan.json");
    Expect("simulate --profile profile.json --plan plan.json --output predicted.json");
    Expect(
        "run --profile profile.json --plan plan.json --weights seed:0 --inputs seed:1"
        " --iterations 1 --poison --verify --output measured.json");
    const Outcome outcome = Expect(
        "report --predicted predicted.json --measured measured.json --plan plan.json --json");
    return nlohmann::json::parse(outcome.out);
  }

  Outcome Expect(const std::string& arguments) {
    Outcome outcome = Stint(arguments);
    EXPECT_EQ(outcome.exit_code, 0) << arguments << "\n" << outcome.err;
    return outcome;
  }
};

TEST_F(WholePathTest, TrainingStepKeepsEveryPromise) {
  Profile("--task train --batch 2 --height 128 --width 128");

  const nlohmann::json report = PlanRunAndReport("--activation-budget 70%");

  EXPECT_TRUE(report["is_memory_equal"]) << report["memory_difference"];
  EXPECT_TRUE(report["are_results_equal"]) << report["results_difference"];
  EXPECT_EQ(report["measured_arena_bytes"], report["predicted_arena_bytes"]);
  EXPECT_LE(report["measured_arena_bytes"], report["budget_bytes"]);
  EXPECT_LT(report["budget_bytes"], report["keep_all_peak_bytes"]);
  EXPECT_GT(report["recomputed_op_count"], 0);
  EXPECT_EQ(report["foreign_request_count"], 0);
  EXPECT_EQ(report["mismatch_count"], 0);
}

TEST_F(WholePathTest, AccumulatedLoraStepKeepsEveryPromise) {
  Profile("--task train-lora --micro-steps 3 --height 64 --width 64");

  const nlohmann::json report = PlanRunAndReport("--budget none");

  EXPECT_TRUE(report["is_memory_equal"]) << report["memory_difference"];
  EXPECT_TRUE(report["are_results_equal"]) << report["results_difference"];
  EXPECT_EQ(ReadReport(folder_ / "measured.json").phases.size(), 3);
}

TEST_F(WholePathTest, StepInChannelsLastKeepsEveryPromise) {
  Profile("--task train --batch 2 --height 128 --width 128 --layout nhwc --update-group 64KiB");

  const nlohmann::json report = PlanRunAndReport("--activation-budget 85%");

  EXPECT_TRUE(report["is_memory_equal"]) << report["memory_difference"];
  EXPECT_TRUE(report["are_results_equal"]) << report["results_difference"];
  EXPECT_EQ(report["foreign_request_count"], 0);
}

TEST_F(WholePathTest, ClippedStepKeepsEveryPromise) {
  Profile(
      "--task train --height 64 --width 64 --layout nhwc --update-group 256KiB --clip-norm 0.5");

  const nlohmann::json report = PlanRunAndReport("--budget none");

  EXPECT_TRUE(report["is_memory_equal"]) << report["memory_difference"];
  EXPECT_TRUE(report["are_results_equal"]) << report["results_difference"];
  const stint::Profile profile = ReadProfile(folder_ / "profile.json");
  EXPECT_EQ(profile.workload.layout, "nhwc");
  EXPECT_EQ(profile.workload.update_group_bytes, 256 * 1024);
  EXPECT_EQ(profile.workload.clip_norm, 0.5);
}

TEST_F(WholePathTest, StepWithAutocastKeepsEveryPromise) {
  Profile("--task train --height 64 --width 64 --autocast bfloat16 --update-group 64KiB");

  const nlohmann::json report = PlanRunAndReport("--activation-budget 40%");

  EXPECT_TRUE(report["is_memory_equal"]) << report["memory_difference"];
  EXPECT_TRUE(report["are_results_equal"]) << report["results_difference"];
  EXPECT_EQ(report["foreign_request_count"], 0);
  EXPECT_GT(ReadReport(folder_ / "measured.json").recomputed_op_count, 0);
}

TEST_F(WholePathTest, StepWithAveragesKeepsEveryPromise) {
  Profile("--task train --height 64 --width 64 --ema --update-group 64KiB");

  const nlohmann::json report = PlanRunAndReport("--activation-budget 85%");

  EXPECT_TRUE(report["is_memory_equal"]) << report["memory_difference"];
  EXPECT_TRUE(report["are_results_equal"]) << report["results_difference"];
  EXPECT_EQ(report["foreign_request_count"], 0);
}

TEST_F(WholePathTest, DenoisingStepKeepsEveryPromise) {
  Profile("--task denoise --height 64 --width 64");

  const nlohmann::json report = PlanRunAndReport("--budget none");

  EXPECT_TRUE(report["is_memory_equal"]) << report["memory_difference"];
  EXPECT_TRUE(report["are_results_equal"]) << report["results_difference"];
}

TEST_F(WholePathTest, RefusesBadInputInOneLine) {
  Write("config.json", "{\"block_out_channels\": \"four\"}");
  const auto expect_refused = [&](const std::string& arguments, const std::string& fact) {
    const Outcome outcome = Stint(arguments + " --output out.json");
    EXPECT_EQ(outcome.exit_code, 2) << arguments;
    EXPECT_THAT(outcome.err, HasSubstr(fact));
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_FALSE(Exists("out.json"));
  };
  expect_refused("profile --model sd16-unet", "sd16-unet");
  expect_refused("profile --model config.json", "config.json:/block_out_channels");
  expect_refused("profile --model tiny-unet --device cuda:7", "--device: ");
  expect_refused("profile --model tiny-unet --task dream", "--task: ");
  expect_refused("profile --model tiny-unet --dtype float8", "--dtype: ");
  expect_refused("profile --model tiny-unet --height 60", "--height: ");
  expect_refused("profile --model tiny-unet --batch 0", "--batch");
}

TEST_F(WholePathTest, RunRefusesWrongValuesAndOtherPlans) {
  Profile("--task denoise --height 64 --width 64");
  Expect("plan --profile profile.json --budget none --output plan.json");
  const std::string run = "run --profile profile.json --plan plan.json --output out.json ";

  Outcome outcome = Stint(run + "--weights missing.safetensors");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("missing.safetensors"));

  outcome = Stint(run + "--weights seed:x");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("--weights"));

  Expect(
      "profile --model tiny-unet --height 64 --width 64 --task denoise --batch 2"
      " --output profile.json");
  outcome = Stint(run);
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("plan.json:/made_from/profile_sha256"));
  EXPECT_FALSE(Exists("out.json"));
}

}  // namespace
}  // namespace stint
