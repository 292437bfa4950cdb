#include "profiler/profiler.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <deque>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "profiler/step_times.h"
#include "profiler/timing.h"
#include "tests/executor/counting_runtime.h"

namespace stint {
namespace {

using testing::HasSubstr;

class FakeGraph final : public DeviceGraph {
 public:
  void Launch() override {}
  std::int64_t NodeCount() const override { return 1; }
};

/// Reads its clock from a list and has a graph if asked to.
class FakeRuntime final : public DeviceRuntime {
 public:
  explicit FakeRuntime(std::deque<std::int64_t> times_ns, bool has_graphs)
      : times_ns_(std::move(times_ns)), has_graphs_(has_graphs) {}

  DeviceKind kind() const override { return DeviceKind::kCpu; }
  Device Describe() const override { return {}; }
  Device Identify() const override { return {}; }
  void* Allocate(std::int64_t) override { return nullptr; }
  void Free(void*) override {}
  void* AllocateHost(std::int64_t) override { return nullptr; }
  void FreeHost(void*) override {}
  void CopyInOrder(void*, const void*, std::int64_t) override {}
  std::unique_ptr<DeviceFence> MakeFence() override { return nullptr; }
  std::unique_ptr<CopyStreams> MakeCopyStreams() override { return nullptr; }
  void CopyToDevice(void*, const void*, std::int64_t) override {}
  void CopyToHost(void*, const void*, std::int64_t) override {}
  void Fill(void*, std::uint8_t, std::int64_t) override {}
  void Synchronize() override {}
  void FillRandom(void*, const std::string&, std::int64_t, std::uint64_t) override {}
  std::int64_t ProcessBytes() const override { return 0; }
  void SetDeterministic(bool) override {}
  void ReleaseLibraryWorkspaces() override {}

  std::unique_ptr<DeviceGraph> CaptureGraph(const std::function<void()>& issue) override {
    if (!has_graphs_) return nullptr;
    issue();
    return std::make_unique<FakeGraph>();
  }

  std::vector<std::int64_t> TimeEach(std::int64_t count,
                                     const std::function<void(std::int64_t)>& issue) override {
    std::vector<std::int64_t> taken_ns;
    for (std::int64_t i = 0; i < count; ++i) {
      issue(i);
      taken_ns.push_back(times_ns_.front());
      if (times_ns_.size() > 1) times_ns_.pop_front();
    }
    return taken_ns;
  }

 private:
  std::deque<std::int64_t> times_ns_;  // The last one stays.
  bool has_graphs_;
};

TEST(TimingTest, SummaryIsMedianAndHalfTheInterquartileRange) {
  const OpTiming odd = Summarize({50, 10, 20, 1000, 30});
  EXPECT_EQ(odd.duration_ns, 30);
  EXPECT_EQ(odd.spread_ns, (50 - 20) / 2);

  const OpTiming even = Summarize({10, 20, 40, 30});
  EXPECT_EQ(even.duration_ns, 25);

  const OpTiming single = Summarize({7});
  EXPECT_EQ(single.duration_ns, 7);
  EXPECT_EQ(single.spread_ns, 0);
}

TEST(TimingTest, ShortOpsAreCalledTwentyTimesAndLongOnesThreeTimes) {
  const auto calls = [](std::int64_t time_ns) {
    FakeRuntime runtime({time_ns}, /*has_graphs=*/false);
    int call_count = 0;
    TimeOp(runtime, [&] { ++call_count; });
    return call_count;
  };

  EXPECT_EQ(calls(1'000), 20);
  EXPECT_EQ(calls(50'000'000), 4);
  EXPECT_EQ(calls(2'000'000'000), 3);
}

TEST(TimingTest, AGraphIsTimedAsItsTenRepeats) {
  FakeRuntime runtime({1000, 3000, 2000, 2100, 1900}, /*has_graphs=*/true);
  int call_count = 0;

  const OpTiming timing = TimeOp(runtime, [&] { ++call_count; });

  EXPECT_EQ(call_count, 10);
  EXPECT_EQ(timing.duration_ns, 200);
}

Program TwoProducts() {
  return [](ProgramHost& host) {
    host.Phase("step", 3, [&host] {
      const at::Tensor x = host.Persistent("x", BufferRole::kInput, {128, 128}, at::kFloat);
      const at::Tensor y = at::mm(x, x);
      host.Mark(at::mm(y, x).sum(), "sum", BufferRole::kOutput);
    });
  };
}

/// The CPU, as if it had graphs: capturing runs them, launching does not.
class GraphsOnCpu final : public CountingRuntime {
 public:
  explicit GraphsOnCpu(std::deque<std::int64_t> times_ns) : times_ns_(std::move(times_ns)) {}

  std::unique_ptr<DeviceGraph> CaptureGraph(const std::function<void()>& issue) override {
    issue();
    return std::make_unique<FakeGraph>();
  }

  /// All launches but the first one take as long.
  std::vector<std::int64_t> TimeEach(std::int64_t count,
                                     const std::function<void(std::int64_t)>& issue) override {
    for (std::int64_t i = 0; i < count; ++i) issue(i);
    std::vector<std::int64_t> taken_ns(static_cast<std::size_t>(count), times_ns_.at(0));
    taken_ns.front() = 1'000'000'000;
    times_ns_.pop_front();
    return taken_ns;
  }

 private:
  std::deque<std::int64_t> times_ns_;
};

TEST(StepTimesTest, OpsInARowTakeLongerThanByThemselvesAndSoDoWaitsAndCopies) {
  Profile profile =
      RecordProfile(TwoProducts(), {}, *MakeDeviceRuntime("cpu"), {.with_times = false});
  for (Op& op : profile.ops) op.duration_ns = 1'000;
  // One stretch, repeated 16 times for being short: 48,000 ns by its ops.
  constexpr std::int64_t kInRowNs = 52'800;
  constexpr std::int64_t kWithWaitsNs = kInRowNs + 16 * 3 * 2 * 50;
  constexpr std::int64_t kBesideCopiesNs = 53'856;
  GraphsOnCpu runtime({kInRowNs, kWithWaitsNs, kBesideCopiesNs});
  int run_count = 0;

  const StepTimes times = MeasureStepTimes(profile, runtime, 1 << 20, [&] {
    ++run_count;
    EXPECT_EQ(runtime.allocation_count, 1);
  });

  EXPECT_EQ(times.step_permille, 1100);
  EXPECT_EQ(times.wait_ns, 50);
  EXPECT_EQ(times.copy_slowdown_permille, 20);
  EXPECT_EQ(run_count, 1);
  EXPECT_EQ(runtime.allocation_count, 0);
}

TEST(StepTimesTest, LittleMemoryMakesShortStretches) {
  Profile profile =
      RecordProfile(TwoProducts(), {}, *MakeDeviceRuntime("cpu"), {.with_times = false});
  for (Op& op : profile.ops) op.duration_ns = 1'000;
  // There is room for three matrices, but not for the sum, too: a stretch is the two products.
  GraphsOnCpu runtime({32'000, 32'000, 32'000});
  int run_count = 0;

  const StepTimes times = MeasureStepTimes(profile, runtime, 200 << 10, [&] { ++run_count; });

  EXPECT_EQ(times.step_permille, 1000);
  EXPECT_EQ(run_count, 1);
}

TEST(StepTimesTest, NothingIsRunWithoutGraphs) {
  const std::unique_ptr<DeviceRuntime> runtime = MakeDeviceRuntime("cpu");
  const Profile profile = RecordProfile(TwoProducts(), {}, *runtime, {});

  const StepTimes times =
      MeasureStepTimes(profile, *runtime, 1 << 20, [] { FAIL() << "took scratch memory"; });

  EXPECT_EQ(times.step_permille, 1000);
  EXPECT_EQ(profile.context.step_permille, 1000);
}

TEST(ProfilerTest, AProfileHasTimesAndSaysWhereItWasRecorded) {
  const std::unique_ptr<DeviceRuntime> runtime = MakeDeviceRuntime("cpu");
  const Workload workload = {.model = "products", .task = "train", .batch_count = 1};

  const Profile profile = RecordProfile(TwoProducts(), workload, *runtime, {});

  ASSERT_EQ(profile.ops.size(), 3U);
  for (const Op& op : profile.ops) EXPECT_GT(op.duration_ns, 0) << op.name;
  EXPECT_EQ(profile.phases[0].repeat_count, 3);
  EXPECT_EQ(profile.workload.model, "products");
  EXPECT_GT(profile.device.memory_bytes, 0);
  EXPECT_FALSE(profile.is_deterministic);
  EXPECT_THAT(profile.context.version, HasSubstr("torch 2.11.0"));
  EXPECT_EQ(profile.context.date.size(), std::string("2026-11-22T21:00:00Z").size());
  EXPECT_GT(profile.context.wall_time_ns, 0);
}

TEST(ProfilerTest, AProfileWithoutTimesHasTheSameOps) {
  const std::unique_ptr<DeviceRuntime> runtime = MakeDeviceRuntime("cpu");
  Profile timed = RecordProfile(TwoProducts(), {}, *runtime, {});

  const Profile untimed =
      RecordProfile(TwoProducts(), {}, *runtime, {.is_deterministic = true, .with_times = false});

  EXPECT_TRUE(untimed.is_deterministic);
  for (Op& op : timed.ops) op.duration_ns = op.spread_ns = 0;
  timed.is_deterministic = true;
  EXPECT_EQ(ProfileSha256(untimed), ProfileSha256(timed));
}

TEST(ProfilerTest, AProfileSurvivesItsFile) {
  const std::unique_ptr<DeviceRuntime> runtime = MakeDeviceRuntime("cpu");
  const Profile profile = RecordProfile(TwoProducts(), {}, *runtime, {});

  EXPECT_EQ(ToJson(ProfileFromJson(ToJson(profile), "test")), ToJson(profile));
}

}  // namespace
}  // namespace stint
