#include "simulator/timeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace stint {

bool operator==(const TaskTimes& a, const TaskTimes& b) {
  return a.begin_ns == b.begin_ns && a.end_ns == b.end_ns;
}
void PrintTo(const TaskTimes& times, std::ostream* out) {
  *out << "[" << times.begin_ns << ", " << times.end_ns << ")";
}

namespace {

using ::testing::ElementsAre;

Task Compute(std::int64_t ns, std::vector<std::int32_t> waits_for = {}) {
  return {.stream = Stream::kCompute,
          .alone_ns = ns,
          .contended_ns = ns,
          .waits_for = std::move(waits_for)};
}

Task Copy(Stream stream, std::int64_t alone_ns, std::int64_t contended_ns,
          std::vector<std::int32_t> waits_for = {}) {
  return {.stream = stream,
          .alone_ns = alone_ns,
          .contended_ns = contended_ns,
          .waits_for = std::move(waits_for)};
}

TEST(RunTasksTest, RunsOneStreamInItsOrder) {
  EXPECT_THAT(RunTasks({Compute(3), Compute(0), Compute(4)}),
              ElementsAre(TaskTimes{0, 3}, TaskTimes{3, 3}, TaskTimes{3, 7}));
}

TEST(RunTasksTest, CopiesRunBesideComputeAndAreWaitedFor) {
  // compute  |-A 3-|-B 4--|   |C 1|
  // to host        |--- copy 8 ---|      B reads nothing of it, C reuses its place
  const std::vector<TaskTimes> times =
      RunTasks({Compute(3), Copy(Stream::kToHost, 8, 8, {0}), Compute(4), Compute(1, {1})});

  EXPECT_THAT(times,
              ElementsAre(TaskTimes{0, 3}, TaskTimes{3, 11}, TaskTimes{3, 7}, TaskTimes{11, 12}));
}

TEST(RunTasksTest, CopiesOfOneDirectionQueue) {
  EXPECT_THAT(RunTasks({Copy(Stream::kToDevice, 5, 9), Copy(Stream::kToDevice, 5, 9)}),
              ElementsAre(TaskTimes{0, 5}, TaskTimes{5, 10}));
}

TEST(RunTasksTest, CopiesOfBothDirectionsSlowEachOtherDown) {
  // The fetch starts at 4, when 6 of the offload's 10 ns are left. Beside each other the offload
  // runs at 10/20 of its speed, the fetch at 4/8. The fetch would be done at 4 + 8 = 12, the
  // offload at 4 + 6 * 2 = 16. From 12 on the offload is alone: (16 - 12) / 2 = 2 ns more.
  const std::vector<TaskTimes> times =
      RunTasks({Compute(4), Copy(Stream::kToHost, 10, 20), Copy(Stream::kToDevice, 4, 8, {0})});

  EXPECT_THAT(times, ElementsAre(TaskTimes{0, 4}, TaskTimes{0, 14}, TaskTimes{4, 12}));
}

TEST(RunTasksTest, ACopyAlreadyUnderWayIsSlowedByALaterOne) {
  // Both start at 0 and need 10 beside each other: neither is ever alone.
  EXPECT_THAT(RunTasks({Copy(Stream::kToHost, 6, 10), Copy(Stream::kToDevice, 7, 10)}),
              ElementsAre(TaskTimes{0, 10}, TaskTimes{0, 10}));
}

TEST(RunTasksTest, CopiesSlowTheComputeBesideThem) {
  // The op takes 100 alone, 120 beside two copies and 110 beside one. By 40 both copies are over:
  // beside two it did 24/120, from 24 to 40 beside one 16/110; the rest takes 100 * 0.6545 = 65.5.
  const Device device{.copy_slowdown_permille = 200};
  const std::vector<TaskTimes> times = RunTasks(
      {MakeCompute(device, 100), Copy(Stream::kToHost, 24, 24), Copy(Stream::kToDevice, 40, 40)});

  EXPECT_THAT(times, ElementsAre(TaskTimes{0, 106}, TaskTimes{0, 24}, TaskTimes{0, 40}));
}

class MakeCopyTest : public ::testing::Test {
 protected:
  const Device device_{
      .kind = DeviceKind::kCuda,
      .copy_times = {
          {.size_bytes = 1000, .to_host_ns = 30, .to_device_ns = 20, .both_ns = 40},
          {.size_bytes = 3000, .to_host_ns = 50, .to_device_ns = 60, .both_ns = 100},
      }};
};

TEST_F(MakeCopyTest, InterpolatesBetweenMeasuredSizes) {
  // Half way: 30 + (50 - 30) / 2 and 40 + (100 - 40) / 2.
  const Task offload = MakeCopy(device_, Stream::kToHost, 2000);
  EXPECT_EQ(offload.alone_ns, 40);
  EXPECT_EQ(offload.contended_ns, 70);
  EXPECT_EQ(MakeCopy(device_, Stream::kToDevice, 2500).alone_ns, 50);  // 20 + 40 * 3/4
}

TEST_F(MakeCopyTest, TakesAMeasuredSizeAsItIs) {
  EXPECT_EQ(MakeCopy(device_, Stream::kToDevice, 1000).alone_ns, 20);
  EXPECT_EQ(MakeCopy(device_, Stream::kToDevice, 3000).alone_ns, 60);
}

TEST_F(MakeCopyTest, IsNoFasterThanTheSmallestMeasuredSize) {
  EXPECT_EQ(MakeCopy(device_, Stream::kToHost, 1).alone_ns, 30);
}

TEST_F(MakeCopyTest, KeepsTheRateOfTheLargestMeasuredSize) {
  // 9000 / 3000 = 3 times.
  const Task fetch = MakeCopy(device_, Stream::kToDevice, 9000);
  EXPECT_EQ(fetch.alone_ns, 180);
  EXPECT_EQ(fetch.contended_ns, 300);
}

TEST_F(MakeCopyTest, TakesNoTimeWhereNothingWasMeasured) {
  EXPECT_EQ(MakeCopy(Device{}, Stream::kToHost, 5000).alone_ns, 0);
}

}  // namespace
}  // namespace stint
