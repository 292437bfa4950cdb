#include "ir/report.h"

#include <gtest/gtest.h>

#include <string>

#include "ir/errors.h"

namespace stint {
namespace {

/// Two instructions: a compute with two requests, and a free.
Report SmallReport() {
  return {
      .plan_sha256 = "p",
      .mode = "paper",
      .peak_bytes = 1024,
      .arena_bytes = 1024,
      .phases = {
          {.name = "step",
           .body = {.live_after_bytes = {512, 0},
                    .peak_bytes = {1024, 512},
                    .peak_by_role = {{.role = BufferRole::kActivation, .size_bytes = {1024, 512}}},
                    .request_live_bytes = {{512, 1024}, {}},
                    .start_ns = {0, 1},
                    .duration_ns = {1, 0}}}}};
}

TEST(ReportTest, SurvivesTheRoundTrip) {
  Report report = SmallReport();
  report.source = ReportSource::kMeasured;
  report.peak_by_role = {{.role = BufferRole::kWeight, .size_bytes = 512}};
  report.streams = {{.stream = Stream::kCompute, .busy_ns = 9},
                    {.stream = Stream::kToHost, .busy_ns = 2, .copied_bytes = 512}};
  report.stalls = {{.phase = PhaseId{0},
                    .part = "body",
                    .instruction = 1,
                    .copy = 0,
                    .cause = "offload of buffer 1",
                    .duration_ns = 5}};
  report.served.foreign = {{.where = "aten::mm in conv_in", .size_bytes = 3}};
  report.verification = {.output_count = 1, .differing = {"loss"}};
  const std::string text = ToJson(report);

  EXPECT_EQ(ToJson(ReportFromJson(text, "text")), text);
}

TEST(ReportTest, RefusesListsOfDifferentLengths) {
  Report report = SmallReport();
  report.phases[0].body.start_ns.pop_back();

  try {
    ReportFromJson(ToJson(report), "r.json");
    FAIL() << "was read";
  } catch (const InputError& error) {
    EXPECT_STREQ(error.what(), "r.json:/phases/0/body: has lists of different lengths");
  }
}

TEST(ReportTest, RefusesRolesOfAnotherLength) {
  Report report = SmallReport();
  report.phases[0].body.peak_by_role[0].size_bytes.pop_back();

  try {
    ReportFromJson(ToJson(report), "r.json");
    FAIL() << "was read";
  } catch (const InputError& error) {
    EXPECT_STREQ(error.what(),
                 "r.json:/phases/0/body/peak_by_role: has lists of another length than the others");
  }
}

TEST(ReportTest, NamesTheRoleThatDiffers) {
  Report measured = SmallReport();
  std::vector<RolePeaks>& peaks = measured.phases[0].body.peak_by_role;
  peaks[0].size_bytes[1] = 1024;
  EXPECT_EQ(FirstMemoryDifference(SmallReport(), measured),
            "phase step, body instruction 1, activation when most is live: 512 bytes predicted, "
            "1024 measured");
  peaks[0].role = BufferRole::kWeight;
  EXPECT_EQ(FirstMemoryDifference(SmallReport(), measured),
            "phase step, body: activation predicted, none measured");
  peaks = {SmallReport().phases[0].body.peak_by_role[0],
           {.role = BufferRole::kWorkspace, .size_bytes = {0, 0}}};
  EXPECT_EQ(FirstMemoryDifference(SmallReport(), measured),
            "phase step, body: workspace measured, none predicted");
  peaks.clear();  // As reports of earlier versions.
  EXPECT_EQ(FirstMemoryDifference(SmallReport(), measured), "");
}

TEST(ReportTest, EqualMemoryHasNoDifferenceWhateverTheTimes) {
  Report measured = SmallReport();
  measured.duration_ns = 99;
  measured.phases[0].body.duration_ns[0] = 99;

  EXPECT_EQ(FirstMemoryDifference(SmallReport(), measured), "");
}

TEST(ReportTest, NamesTheFirstDifference) {
  Report measured = SmallReport();
  measured.peak_bytes = 2048;
  EXPECT_EQ(FirstMemoryDifference(SmallReport(), measured),
            "peak: 1024 bytes predicted, 2048 measured");
  measured.served.foreign = {{.where = "aten::mm", .size_bytes = 7}};
  EXPECT_EQ(FirstMemoryDifference(SmallReport(), measured),
            "aten::mm: a request of 7 bytes that the plan does not know");
  measured.phases[0].body.live_after_bytes[1] = 512;
  EXPECT_EQ(FirstMemoryDifference(SmallReport(), measured),
            "phase step, body instruction 1, live after it: 0 bytes predicted, 512 measured");
  measured.phases[0].body.request_live_bytes[0][1] = 512;
  EXPECT_EQ(
      FirstMemoryDifference(SmallReport(), measured),
      "phase step, body instruction 0, live after request 1: 1024 bytes predicted, 512 measured");
}

TEST(ReportTest, RefusesReportsOfDifferentPlans) {
  Report measured = SmallReport();
  measured.plan_sha256 = "q";

  EXPECT_THROW(FirstMemoryDifference(SmallReport(), measured), InputError);
}

}  // namespace
}  // namespace stint
