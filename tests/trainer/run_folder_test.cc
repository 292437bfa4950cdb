#include "trainer/run_folder.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "ir/errors.h"
#include "ir/file.h"
#include "tests/support/temporary_folder.h"

namespace stint {
namespace {

std::string ErrorOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

TEST(RunFolderTest, RefusesAFolderThatHoldsARun) {
  const TemporaryFolder folder;
  const auto run = folder.path() / "run";
  BeginRun(run);
  EXPECT_EQ(ErrorOf([&] { BeginRun(run); }), "");  // Nothing has been done in it.
  WriteText(run / "metrics.jsonl", "");
  EXPECT_NE(ErrorOf([&] { BeginRun(run); }).find("--resume latest"), std::string::npos);
}

TEST(RunFolderTest, NamesTheFirstWordThatIsNotTheSame) {
  const StateWords was = {{"batch", std::int64_t{2}}, {"model", std::string("a")}};
  CheckSameRun(was, was, "f");
  EXPECT_EQ(ErrorOf([&] {
              CheckSameRun(was, {{"batch", std::int64_t{3}}}, "f");
            }),
            "f: was trained with batch 2, not 3");
  EXPECT_EQ(ErrorOf([&] {
              CheckSameRun(was, {{"model", std::string("b")}}, "f");
            }),
            "f: was trained with model a, not b");
  EXPECT_EQ(ErrorOf([&] {
              CheckSameRun(was, {{"size", std::int64_t{1}}}, "f");
            }),
            "f: does not say its size");
}

TEST(RunFolderTest, SaysWhichRunHasAspectBuckets) {
  const StateWords without = {{"batch", std::int64_t{2}}};
  StateWords with = without;
  with[kAspectBuckets] = std::string("128x256 192x192");
  CheckSameRun(with, with, "f");
  EXPECT_EQ(ErrorOf([&] { CheckSameRun(with, without, "f"); }),
            "f: was trained with --aspect-buckets, not without");
  EXPECT_EQ(ErrorOf([&] { CheckSameRun(without, with, "f"); }),
            "f: was trained without --aspect-buckets, not with them");
  StateWords others = without;
  others[kAspectBuckets] = std::string("192x192");
  EXPECT_EQ(ErrorOf([&] { CheckSameRun(with, others, "f"); }),
            "f: was trained with aspect buckets 128x256 192x192, not 192x192");
}

TEST(MetricsFileTest, SaysTheSizeOfAStepThatHasOne) {
  const TemporaryFolder folder;
  MetricsFile file(folder.path(), 0);
  file.Append({.step = 1});
  file.Append({.step = 2, .size = "128x256"});
  const std::string text = ReadText(folder.path() / "metrics.jsonl");
  EXPECT_EQ(text.find("size"), text.find(R"("size":"128x256")") + 1) << text;
}

TEST(MetricsFileTest, ForgetsStepsThatAreDoneAgainAndLinesThatAreHalf) {
  const TemporaryFolder folder;
  MetricsFile(folder.path(), 0).Append({.step = 1, .loss = 0.5});
  MetricsFile(folder.path(), 1).Append({.step = 2, .loss = 0.25});
  const auto path = folder.path() / "metrics.jsonl";
  const std::string two = ReadText(path);
  EXPECT_NE(two.find(R"("step":1,"epoch":0,"loss":0.5)"), std::string::npos) << two;
  WriteText(path, two + R"({"step":3,"epoch":0,"lo)");
  MetricsFile(folder.path(), 2).Append({.step = 3, .loss = 0.125});
  const std::string three = ReadText(path);
  EXPECT_TRUE(three.starts_with(two)) << three;
  EXPECT_NE(three.find(R"("step":3,"epoch":0,"loss":0.125)"), std::string::npos);
  MetricsFile(folder.path(), 2).Append({.step = 3, .loss = 0.125});
  EXPECT_EQ(ReadText(path), three);
}

}  // namespace
}  // namespace stint
