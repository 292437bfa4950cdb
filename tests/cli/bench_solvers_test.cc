// Importing foreign graphs and comparing solvers on a folder of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "ir/plan.h"
#include "ir/profile.h"
#include "ir/report.h"
#include "tests/cli/stint_program.h"
#include "tests/support/foreign_texts.h"
#include "tests/support/graphs.h"

namespace stint {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class BenchSolversTest : public StintProgramTest {
 protected:
  BenchSolversTest() {
    std::filesystem::create_directories(folder_ / "suite/below");
    Write("suite/graph.json", fixtures::kNodeLinkGraph);
    Write("suite/below/log.log", fixtures::kDtrLog);
    Write("suite/README.md", "Not a graph.\n");
    WriteProfile(fixtures::ChainWithBackward(), folder_ / "suite/profile.json.gz");
  }

  nlohmann::json Rows(const std::string& flags) const {
    const Outcome outcome = Stint("bench-solvers --suite suite --json " + flags);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return nlohmann::json::parse(outcome.out);
  }
};

TEST_F(BenchSolversTest, ImportedGraphIsPlannedAndSimulated) {
  Write("step.json", fixtures::kWholeStep);
  const Outcome imported =
      Stint("import step.json --cost-model sd15 --fp32-states --output p.json.gz --json");
  ASSERT_EQ(imported.exit_code, 0) << imported.err;
  EXPECT_EQ(nlohmann::json::parse(imported.out)["duration_ns"], 52'000'000);
  EXPECT_EQ(ReadProfile(folder_ / "p.json.gz").device.copy_times.size(), 2U);

  const std::string plan = "plan --profile p.json.gz --activation-budget 100% --output plan.json";
  ASSERT_EQ(Stint(plan).exit_code, 0);
  ASSERT_EQ(Stint("simulate --profile p.json.gz --plan plan.json --output r.json").exit_code, 0);
  EXPECT_EQ(ReadReport(folder_ / "r.json").duration_ns, 52'000'000);
}

TEST_F(BenchSolversTest, ImportThroughAPipeNamesStandardInput) {
  const Outcome outcome = Shell("printf 'id,lower\\n' | \"$STINT\" import - --output p.json");

  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("stint: standard input: begins like no known graph"));
  EXPECT_FALSE(Exists("p.json"));
}

TEST_F(BenchSolversTest, EveryInstanceMeetsEverySolverAtEveryBudget) {
  const nlohmann::json answer = Rows("--solvers keep-all,greedy --budgets 100,8GiB");

  std::vector<std::string> rows{};
  for (const nlohmann::json& row : answer["rows"]) {
    rows.push_back(row["instance"].get<std::string>() + " " + row["budget"].get<std::string>() +
                   " " + row["solver"].get<std::string>());
    EXPECT_EQ(row["status"], "optimal");
    EXPECT_EQ(row["duration_ns"], row["keep_all_duration_ns"]);
    EXPECT_EQ(row["gap_points"], 0);
  }
  EXPECT_THAT(rows, ElementsAre("below/log.log 100% keep-all", "below/log.log 100% greedy",
                                "below/log.log 8GiB keep-all", "below/log.log 8GiB greedy",
                                "graph.json 100% keep-all", "graph.json 100% greedy",
                                "graph.json 8GiB keep-all", "graph.json 8GiB greedy",
                                "profile.json.gz 100% keep-all", "profile.json.gz 100% greedy",
                                "profile.json.gz 8GiB keep-all", "profile.json.gz 8GiB greedy"));
  ASSERT_EQ(answer["skipped"].size(), 1U);
  EXPECT_EQ(answer["skipped"][0]["file"], "README.md");
}

TEST_F(BenchSolversTest, AllSolversOfTheRegistryRunUnlessSomeAreNamed) {
  std::vector<std::string> solvers{};
  const nlohmann::json answer = Rows("--budgets 100");
  for (const nlohmann::json& row : answer["rows"]) solvers.push_back(row["solver"]);

  EXPECT_THAT(solvers, Contains("keep-all"));
  EXPECT_THAT(solvers, Contains("greedy"));
}

TEST_F(BenchSolversTest, ANoIsARow) {
  const nlohmann::json answer = Rows("--solvers keep-all --budgets 1,99");

  const nlohmann::json& infeasible = answer["rows"][4];  // profile.json.gz at 1 %.
  EXPECT_EQ(infeasible["status"], "infeasible");
  EXPECT_GT(infeasible["min_budget_bytes"], infeasible["budget_bytes"]);
  EXPECT_THAT(infeasible["note"].get<std::string>(), Not(IsEmpty()));
  EXPECT_EQ(answer["rows"][5]["status"], "unknown");  // Keeping all does not fit 99 %.
}

TEST_F(BenchSolversTest, TableAndFileSayTheSame) {
  const Outcome outcome = Stint(
      "bench-solvers --suite suite/graph.json --solvers greedy --budgets 100 --output o.json");

  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("overhead %"));
  EXPECT_THAT(outcome.out, HasSubstr("graph.json  greedy  100%"));
  EXPECT_THAT(outcome.out, HasSubstr("optimal\n"));
  EXPECT_THAT(outcome.out, Not(HasSubstr("\033")));  // No colours in a pipe.
  EXPECT_EQ(nlohmann::json::parse(Read("o.json"))["rows"][0]["instance"], "graph.json");
}

TEST_F(BenchSolversTest, RowsRepeatUnderAWorkLimit) {
  const auto numbers = [&] {
    nlohmann::json answer = Rows("--budgets 60,80 --work-limit 1000");
    for (nlohmann::json& row : answer["rows"]) {
      row.erase("wall_s");
      row.erase("cpu_s");
    }
    return answer["rows"].dump();
  };
  EXPECT_EQ(numbers(), numbers());
}

TEST_F(BenchSolversTest, WrongFlagsAreNamed) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"--suite nowhere", "--suite: there is no nowhere"},
      {"--suite suite/README.md", "--suite: holds no graph that can be planned: suite/README.md"},
      {"--suite suite --budgets 0", "--budgets: '0%' is not above 0 % and at most 100 %"},
      {"--suite suite --budgets 8GB", "--budgets: "},
      {"--suite suite --solvers best", "--solver: knows no solver \"best\""},
      {"--suite suite --output -", "--output: needs a file"},
  };
  for (const auto& [flags, line] : cases) {
    const Outcome outcome = Stint("bench-solvers " + flags);
    EXPECT_EQ(outcome.exit_code, 2) << flags;
    EXPECT_THAT(outcome.err, HasSubstr("stint: " + line)) << flags;
    EXPECT_THAT(outcome.out, IsEmpty()) << flags;
  }
}

}  // namespace
}  // namespace stint
