// The examples of docs/formats.md are read, and belong together.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "ir/check_plan.h"
#include "ir/file.h"
#include "ir/plan.h"
#include "ir/profile.h"
#include "ir/report.h"

namespace stint {
namespace {

/// The fenced blocks of JSON, in order.
std::vector<std::string> Examples() {
  const std::string text =
      ReadText(std::filesystem::path(STINT_SOURCE_DIR) / "docs" / "formats.md");
  const std::string opening = "```json\n";
  std::vector<std::string> examples;
  for (std::size_t at = text.find(opening); at != std::string::npos; at = text.find(opening, at)) {
    const std::size_t begin = at + opening.size();
    at = text.find("```", begin);
    examples.push_back(text.substr(begin, at - begin));
  }
  return examples;
}

TEST(FormatsTest, ExamplesAreWrittenAsStintWritesThem) {
  const std::vector<std::string> examples = Examples();
  ASSERT_EQ(examples.size(), 3u);
  EXPECT_EQ(ToJson(ProfileFromJson(examples[0], "profile")), examples[0]);
  EXPECT_EQ(ToJson(PlanFromJson(examples[1], "plan")), examples[1]);
  EXPECT_EQ(ToJson(ReportFromJson(examples[2], "report")), examples[2]);
}

TEST(FormatsTest, ExamplesBelongTogether) {
  const std::vector<std::string> examples = Examples();
  ASSERT_EQ(examples.size(), 3u);
  const Profile profile = ProfileFromJson(examples[0], "profile");
  const Plan plan = PlanFromJson(examples[1], "plan");
  const Report report = ReportFromJson(examples[2], "report");

  EXPECT_NO_THROW(CheckPlan(profile, plan));
  EXPECT_EQ(report.profile_sha256, ProfileSha256(profile));
  EXPECT_EQ(report.plan_sha256, PlanSha256(plan));
}

}  // namespace
}  // namespace stint
