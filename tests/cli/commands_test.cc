// The subcommands that every build has, on a tiny profile.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "ir/plan.h"
#include "ir/profile.h"
#include "ir/report.h"
#include "tests/cli/stint_program.h"
#include "tests/support/graphs.h"

namespace stint {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;

class CommandsTest : public StintProgramTest {
 protected:
  CommandsTest() { WriteProfile(fixtures::ChainWithBackward(), folder_ / "profile.json"); }

  void MakePlanAndPrediction() {
    ASSERT_EQ(Stint("plan --profile profile.json --budget none --output plan.json").exit_code, 0);
    const Outcome outcome =
        Stint("simulate --profile profile.json --plan plan.json --output predicted.json");
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  }

  /// A measured report that says what was predicted, changed by `change`.
  template <typename Change>
  void WriteMeasured(Change change) {
    Report report = ReadReport(folder_ / "predicted.json");
    report.source = ReportSource::kMeasured;
    report.mode = "op-by-op";
    report.iteration_count = 5;
    change(report);
    WriteReport(report, folder_ / "measured.json");
  }
};

TEST_F(CommandsTest, HelpOfEachCommandHasExamples) {
  EXPECT_THAT(Stint("--help").out, HasSubstr("Exit codes: 0 answered"));
  for (const std::string command : {"plan", "simulate", "report"}) {
    const Outcome outcome = Stint(command + " --help");
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_THAT(outcome.out, HasSubstr("Examples:\n  stint " + command));
    EXPECT_THAT(outcome.err, IsEmpty());
  }
}

TEST_F(CommandsTest, VersionNamesTheCommit) {
  EXPECT_THAT(Stint("--version").out, MatchesRegex("stint [0-9.]+ \\(.+\\).*\n"));
}

TEST_F(CommandsTest, PlanFitsItsBudgetAndRepeatsItself) {
  // Kept whole the chain needs its persistent x and w, 1024 B, and more than 4096 B.
  const std::string plan = "plan --profile profile.json --work-limit 1000 --budget ";
  ASSERT_EQ(Stint(plan + "6KiB --output a.json").exit_code, 0);
  ASSERT_EQ(Stint(plan + "6KiB --output b.json").exit_code, 0);

  const Plan a = ReadPlan(folder_ / "a.json");
  EXPECT_LE(a.arena_bytes + a.overhead_bytes, 6 * 1024);
  EXPECT_EQ(PlanSha256(a), PlanSha256(ReadPlan(folder_ / "b.json")));
  EXPECT_EQ(Read("a.json").back(), '\n');
}

TEST_F(CommandsTest, ShippedProfileIsPlannedWithoutItsCard) {
  const std::string profile = STINT_PROFILES "/h100_sd15_train_bf16_b4_512.json.gz";
  const Outcome planned =
      Stint("plan --profile " + profile + " --activation-budget 50% --output plan.json");
  ASSERT_EQ(planned.exit_code, 0) << planned.err;
  const Outcome simulated =
      Stint("simulate --profile " + profile + " --plan plan.json --output predicted.json");
  ASSERT_EQ(simulated.exit_code, 0) << simulated.err;

  const Plan plan = ReadPlan(folder_ / "plan.json");
  EXPECT_EQ(ReadReport(folder_ / "predicted.json").peak_bytes, plan.peak_bytes);
  EXPECT_LE(plan.arena_bytes + plan.overhead_bytes, plan.budget_bytes);
  EXPECT_LT(plan.arena_bytes, plan.keep_all_peak_bytes * 4 / 5);  // Most of it is persistent.
}

TEST_F(CommandsTest, ActivationBudgetOfAllIsTheKeepAllPeak) {
  const Outcome outcome =
      Stint("plan --profile profile.json --activation-budget 100% --output plan.json --json");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const auto summary = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(summary["budget_bytes"], summary["keep_all_peak_bytes"]);
  EXPECT_EQ(summary["recomputed_op_count"], 0);
}

TEST_F(CommandsTest, ActivationBudgetLeavesPersistentBuffersAlone) {
  // Persistent: x and w, 1024 B. The rest of the keep-all peak is halved.
  const Outcome outcome =
      Stint("plan --profile profile.json --activation-budget 50% --output plan.json --json");
  const auto summary = nlohmann::json::parse(outcome.out);
  const Outcome keep_all =
      Stint("plan --profile profile.json --budget none --output k.json --json");
  const std::int64_t peak = nlohmann::json::parse(keep_all.out)["keep_all_peak_bytes"];
  EXPECT_EQ(summary["budget_bytes"], 1024 + (peak - 1024) / 2);
}

TEST_F(CommandsTest, ImpossibleBudgetIsAnAnswer) {
  const Outcome outcome =
      Stint("plan --profile profile.json --budget 1KiB --output plan.json --json");
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_THAT(outcome.err, MatchesRegex("stint: --budget: no plan fits 1.00 KiB \\(1024 B\\); the "
                                        "smallest budget that works is .+ B\\): .+\n"));
  const auto answer = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(answer["status"], "infeasible");
  EXPECT_GT(answer["min_budget_bytes"], 1024);
  EXPECT_FALSE(Exists("plan.json"));
}

TEST_F(CommandsTest, ASnapshotIsPlannedWithinTheHostBudget) {
  // A save copies w, 512 bytes: all that the step writes and keeps.
  const std::string plan = "plan --profile profile.json --budget none --snapshot --json --output ";
  const Outcome fits = Stint(plan + "saving.json --host-budget 512B");
  ASSERT_EQ(fits.exit_code, 0) << fits.err;
  EXPECT_EQ(nlohmann::json::parse(fits.out)["snapshot_bytes"], 512);
  ASSERT_EQ(
      Stint("simulate --profile profile.json --plan saving.json --output predicted.json").exit_code,
      0);
  EXPECT_EQ(ReadReport(folder_ / "predicted.json").snapshot_bytes, 512);
  WriteMeasured([](Report&) {});
  const Outcome shown = Stint("report --predicted predicted.json --measured measured.json");
  EXPECT_THAT(shown.out, HasSubstr("snapshot of a save"));

  const Outcome no = Stint(plan + "other.json --host-budget 511B");
  EXPECT_EQ(no.exit_code, 3);
  EXPECT_EQ(no.err,
            "stint: --host-budget: the snapshot of the state takes 512 B (512 B) of host memory, "
            "not within 511 B (511 B)\n");
  EXPECT_EQ(nlohmann::json::parse(no.out)["min_host_bytes"], 512);
  EXPECT_FALSE(Exists("other.json"));
}

TEST_F(CommandsTest, ArtifactsGoThroughPipes) {
  const Outcome outcome = Shell(
      "cat profile.json | \"$STINT\" plan --profile - --budget none |"
      " \"$STINT\" simulate --profile profile.json --plan -");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(ReportFromJson(outcome.out, "stdout").source, ReportSource::kPredicted);
}

TEST_F(CommandsTest, ReadsAndWritesGzipByName) {
  WriteProfile(fixtures::ChainWithBackward(), folder_ / "profile.json.gz");
  ASSERT_EQ(Stint("plan --profile profile.json.gz --budget none --output plan.json.gz").exit_code,
            0);
  EXPECT_EQ(Read("plan.json.gz").substr(0, 2), "\x1f\x8b");
  EXPECT_EQ(Stint("simulate --profile profile.json --plan plan.json.gz --output predicted.json")
                .exit_code,
            0);
}

TEST_F(CommandsTest, EqualReportsPassAndColoursStayOutOfPipes) {
  MakePlanAndPrediction();
  WriteMeasured([](Report&) {});

  const Outcome outcome =
      Stint("report --predicted predicted.json --measured measured.json --plan plan.json");

  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("keep-all peak"));
  EXPECT_THAT(outcome.out, HasSubstr("0 B off"));
  EXPECT_THAT(outcome.out, HasSubstr("foreign requests"));
  EXPECT_THAT(outcome.out, Not(HasSubstr("\033")));
  EXPECT_THAT(outcome.err, IsEmpty());
}

TEST_F(CommandsTest, OneByteMoreThanPredictedFails) {
  MakePlanAndPrediction();
  WriteMeasured([](Report& report) { report.phases[0].body.request_live_bytes[1][0] += 1; });

  const Outcome outcome =
      Stint("report --predicted predicted.json --measured measured.json --json");

  EXPECT_EQ(outcome.exit_code, 5);
  EXPECT_THAT(outcome.err, HasSubstr("measured.json: phase "));
  EXPECT_FALSE(nlohmann::json::parse(outcome.out)["is_memory_equal"]);
}

TEST_F(CommandsTest, DifferentResultsFail) {
  MakePlanAndPrediction();
  WriteMeasured([](Report& report) {
    report.verification = Verification{.output_count = 1, .differing = {"loss"}};
  });

  const Outcome outcome = Stint("report --predicted predicted.json --measured measured.json");

  EXPECT_EQ(outcome.exit_code, 5);
  EXPECT_THAT(outcome.err, HasSubstr("loss differs from the unplanned run"));
}

TEST_F(CommandsTest, ForeignRequestsFail) {
  MakePlanAndPrediction();
  WriteMeasured([](Report& report) {
    report.served.foreign = {{.where = "aten::mm in conv_in", .size_bytes = 64}};
  });

  const Outcome outcome = Stint("report --predicted predicted.json --measured measured.json");

  EXPECT_EQ(outcome.exit_code, 5);
  EXPECT_THAT(outcome.err, HasSubstr("aten::mm in conv_in"));
}

TEST_F(CommandsTest, HtmlPageStandsAlone) {
  MakePlanAndPrediction();
  WriteMeasured([](Report& report) { report.context.host = "<b>&"; });

  const Outcome outcome = Stint(
      "report --predicted predicted.json --measured measured.json --plan plan.json --html r.html");

  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const std::string page = Read("r.html");
  EXPECT_THAT(page, HasSubstr("<svg"));
  EXPECT_THAT(page, HasSubstr("equals the prediction to the byte"));
  EXPECT_THAT(page, HasSubstr("&lt;b&gt;&amp;"));
  for (const std::string outside : {"http", "src=", "href=", "@import"}) {
    EXPECT_THAT(page, Not(HasSubstr(outside)));
  }
}

}  // namespace
}  // namespace stint
