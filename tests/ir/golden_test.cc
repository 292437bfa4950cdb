// tests/golden/<case>/: what must not change by accident. UPDATE_GOLDENS=1 rewrites the files.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "ir/check_plan.h"
#include "ir/file.h"
#include "ir/plan.h"
#include "ir/profile.h"
#include "tests/support/graphs.h"
#include "tests/support/plans.h"

namespace stint {
namespace {

std::filesystem::path GoldenPath(const std::string& name, const std::string& file) {
  return std::filesystem::path(STINT_SOURCE_DIR) / "tests" / "golden" / name / file;
}

void ExpectGolden(const std::string& text, const std::filesystem::path& path) {
  if (std::getenv("UPDATE_GOLDENS") != nullptr) {
    std::filesystem::create_directories(path.parent_path());
    WriteText(path, text);
  }
  EXPECT_EQ(text, ReadText(path)) << "UPDATE_GOLDENS=1 rewrites " << path;
}

struct GoldenCase {
  std::string name{};
  Profile (*profile)() = nullptr;
};

class GoldenTest : public testing::TestWithParam<GoldenCase> {};

TEST_P(GoldenTest, ProfileIsWrittenAsBefore) {
  ExpectGolden(ToJson(GetParam().profile()), GoldenPath(GetParam().name, "profile.json"));
}

TEST_P(GoldenTest, PlanIsWrittenAsBefore) {
  ExpectGolden(ToJson(fixtures::KeepAllPlan(GetParam().profile())),
               GoldenPath(GetParam().name, "plan.json"));
}

TEST_P(GoldenTest, FilesBelongTogether) {
  const Profile profile = ReadProfile(GoldenPath(GetParam().name, "profile.json"));

  EXPECT_NO_THROW(CheckPlan(profile, ReadPlan(GoldenPath(GetParam().name, "plan.json"))));
}

INSTANTIATE_TEST_SUITE_P(
    Cases, GoldenTest,
    testing::Values(GoldenCase{"chain", fixtures::Chain},
                    GoldenCase{"chain_with_backward", fixtures::ChainWithBackward},
                    GoldenCase{"in_place", fixtures::InPlace},
                    GoldenCase{"accumulation", fixtures::Accumulation}),
    [](const testing::TestParamInfo<GoldenCase>& test_case) { return test_case.param.name; });

}  // namespace
}  // namespace stint
