// Wrong input: one line that names the place and the fact, the right exit code, no file left.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "ir/plan.h"
#include "ir/profile.h"
#include "tests/cli/stint_program.h"
#include "tests/support/graphs.h"

namespace stint {
namespace {

struct Case {
  std::string name{};
  std::string arguments{};
  std::string line{};  // Of stderr, a regular expression.
  int exit_code = 2;
};

void PrintTo(const Case& bad, std::ostream* out) { *out << bad.arguments; }

class BadInputTest : public StintProgramTest, public ::testing::WithParamInterface<Case> {
 protected:
  void SetUp() override {
    WriteProfile(fixtures::ChainWithBackward(), folder_ / "profile.json");
    WriteProfile(fixtures::Chain(), folder_ / "other.json");
    ASSERT_EQ(Stint("plan --profile profile.json --budget none --output plan.json").exit_code, 0);
    const std::string profile = Read("profile.json");
    Write("truncated.json", profile.substr(0, profile.size() / 2));
    Write("no_json.json", "profile");
    Write("unknown_key.json", Replace(profile, "\"is_deterministic\"", "\"is_determinisitc\""));
    Write("damaged.json.gz", "\x1f\x8b gzip");
    WriteDamagedPlans();
  }

  void WriteDamagedPlans() {
    const Plan plan = ReadPlan(folder_ / "plan.json");
    Plan dead = plan;
    dead.initial.erase(dead.initial.begin());
    WritePlan(dead, folder_ / "dead.json");
    Plan overlapping = plan;
    overlapping.initial[1].offset_bytes = overlapping.initial[0].offset_bytes;
    WritePlan(overlapping, folder_ / "overlapping.json");
    Plan small = plan;
    small.budget_bytes = 512;
    WritePlan(small, folder_ / "small.json");
  }

  static std::string Replace(std::string text, const std::string& from, const std::string& to) {
    return text.replace(text.find(from), from.size(), to);
  }

  std::vector<std::string> Files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      const std::string name = entry.path().filename().string();
      if (name != ".out" && name != ".err") names.push_back(name);
    }
    std::ranges::sort(names);
    return names;
  }
};

TEST_P(BadInputTest, IsRefusedInOneLine) {
  const std::vector<std::string> files = Files();

  const Outcome outcome = Stint(GetParam().arguments);

  EXPECT_EQ(outcome.exit_code, GetParam().exit_code) << outcome.err;
  EXPECT_THAT(outcome.err, ::testing::ContainsRegex("^stint: " + GetParam().line));
  EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 1) << outcome.err;
  EXPECT_EQ(Files(), files);
}

std::string PlanWith(const std::string& rest) { return "plan --output out.json " + rest; }
std::string SimulateWith(const std::string& plan, const std::string& profile = "profile.json") {
  return "simulate --output out.json --profile " + profile + " --plan " + plan;
}

std::string NameOfCase(const ::testing::TestParamInfo<Case>& bad) { return bad.param.name; }

INSTANTIATE_TEST_SUITE_P(
    Flags, BadInputTest,
    ::testing::Values(
        Case{"NoCommand", "", "a command is required"}, Case{"UnknownCommand", "plane", ".*plane"},
        Case{"UnknownFlag", PlanWith("--profile profile.json --budget 8GiB --bugdet 8GiB"),
             ".*--bugdet"},
        Case{"NoProfile", PlanWith("--budget 8GiB"), ".*--profile"},
        Case{"NoBudget", PlanWith("--profile profile.json"), ".*--budget,--activation-budget"},
        Case{"NoSuffix", PlanWith("--profile profile.json --budget 8"), "--budget: "},
        Case{"Ambiguous", PlanWith("--profile profile.json --budget 8GB"), "--budget: .*GB"},
        Case{"ZeroBudget", PlanWith("--profile profile.json --budget 0B"), "--budget: "},
        Case{"ZeroHostBudget", PlanWith("--profile profile.json --budget 8GiB --host-budget 0B"),
             "--host-budget: is zero"},
        Case{"PercentWithoutSign", PlanWith("--profile profile.json --activation-budget 70"),
             "--activation-budget: '70' is no percentage"},
        Case{"PercentAboveAll", PlanWith("--profile profile.json --activation-budget 170%"),
             "--activation-budget: '170%' is not"},
        Case{"UnknownSolver", PlanWith("--profile profile.json --budget 8GiB --solver best"),
             "--solver: .*best"},
        Case{"TimeLimit", PlanWith("--profile profile.json --budget 8GiB --time-limit 0"),
             ".*--time-limit"},
        Case{"OutputNowhere", "plan --profile profile.json --budget 8GiB --output no/such/p.json",
             "--output: there is no folder no/such"},
        Case{"JsonAndArtifact", "plan --profile profile.json --budget 8GiB --json", "--json: "},
        Case{"TwoStandardInputs", "simulate --profile - --plan -", "-: only one file"}),
    NameOfCase);

INSTANTIATE_TEST_SUITE_P(
    Files, BadInputTest,
    ::testing::Values(
        Case{"Missing", PlanWith("--profile missing.json --budget 8GiB"), "missing.json: "},
        Case{"NoJson", PlanWith("--profile no_json.json --budget 8GiB"), "no_json.json:"},
        Case{"Truncated", PlanWith("--profile truncated.json --budget 8GiB"),
             "truncated.json: is not JSON at line [0-9]+, byte "},
        Case{"UnknownKey", PlanWith("--profile unknown_key.json --budget 8GiB"),
             "unknown_key.json:/.*is_determinisitc"},
        Case{"DamagedGzip", PlanWith("--profile damaged.json.gz --budget 8GiB"),
             "damaged.json.gz: "},
        Case{"NoProfileAtAll", PlanWith("--profile plan.json --budget 8GiB"), "plan.json:/schema"},
        Case{"PlanOfAnother", SimulateWith("plan.json", "other.json"),
             "plan.json:/made_from/profile_sha256: is of another profile than other.json"},
        Case{"DeadRead", SimulateWith("dead.json"), "dead.json:/.*buffer 0"},
        Case{"Overlap", SimulateWith("overlapping.json"), "overlapping.json:/initial.*overlap"},
        Case{"BelowItsNeed", SimulateWith("small.json"), "small.json:/"},
        Case{"PredictedTwice", "report --predicted plan.json --measured plan.json",
             "plan.json:/schema"},
        Case{"Infeasible", PlanWith("--profile profile.json --budget 1KiB"),
             "--budget: no plan fits", 3}),
    NameOfCase);

}  // namespace
}  // namespace stint
