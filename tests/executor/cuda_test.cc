// What the CUDA half of the runtime and the executor promise; skipped on machines without a card.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "dispatch/allocator_hook.h"
#include "dispatch/device_runtime.h"
#include "executor/verify.h"
#include "ir/errors.h"
#include "profiler/profiler.h"
#include "simulator/simulator.h"
#include "tests/executor/small_training.h"
#include "tests/support/paged_plan.h"
#include "tests/support/plan_builder.h"

namespace stint {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class CudaTest : public testing::Test {
 protected:
  void SetUp() override {
    try {
      runtime_ = MakeDeviceRuntime("cuda");
    } catch (const InputError& error) {
      GTEST_SKIP() << error.what();
    }
  }

  std::unique_ptr<DeviceRuntime> runtime_;
};

/// Declines all requests and counts them.
class CountingListener final : public AllocatorListener {
 public:
  void* OnRequest(std::int64_t size_bytes) noexcept override {
    requests.push_back(size_bytes);
    return nullptr;
  }
  void OnServedNatively(void* /*data*/, std::int64_t /*size_bytes*/) noexcept override {}
  void OnFree(void* /*data*/) noexcept override { ++free_count; }

  std::vector<std::int64_t> requests{};
  int free_count = 0;
};

TEST_F(CudaTest, TheListenerSeesRequestsAndFrees) {
  CountingListener listener;
  const ScopedAllocatorListener listening(DeviceKind::kCuda, listener);
  at::Tensor tensor = at::empty({100}, at::kCUDA);
  tensor.reset();

  EXPECT_THAT(listener.requests, ElementsAre(400));
  EXPECT_EQ(listener.free_count, 1);
}

TEST_F(CudaTest, CopiesAndFillsMemory) {
  std::array<unsigned char, 1000> host{};
  void* data = runtime_->Allocate(1000);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(data) % 512, 0U);
  runtime_->Fill(data, 7, 1000);
  runtime_->CopyToHost(host.data(), data, 1000);
  EXPECT_THAT(host, testing::Each(7));
  runtime_->Free(data);
}

TEST_F(CudaTest, FillsWithRandomNumbersFromZeroToOne) {
  for (const auto& [name, dtype] :
       {std::pair("float32", at::kFloat), std::pair("float16", at::kHalf),
        std::pair("bfloat16", at::kBFloat16)}) {
    const at::Tensor tensor = at::full({100000}, -1, at::TensorOptions(dtype).device(at::kCUDA));
    runtime_->FillRandom(tensor.mutable_data_ptr(), name,
                         static_cast<std::int64_t>(tensor.nbytes()), /*seed=*/7);
    const at::Tensor values = tensor.to(at::kDouble);
    EXPECT_GE(values.min().item<double>(), 0) << name;
    EXPECT_LT(values.max().item<double>(), 1) << name;
    EXPECT_NEAR(values.mean().item<double>(), 0.5, 0.01) << name;
  }
}

TEST_F(CudaTest, SaysThatMemoryIsShortAndGoesOn) {
  EXPECT_THROW(runtime_->Allocate(std::int64_t{1} << 50), InputError);
  runtime_->Free(runtime_->Allocate(1 << 20));
}

TEST_F(CudaTest, AGraphDoesWhatWasIssued) {
  const at::Tensor tensor = at::zeros({16}, at::kCUDA);
  const auto graph = runtime_->CaptureGraph([&] { tensor.add_(1); });
  EXPECT_EQ(graph->NodeCount(), 1);
  EXPECT_EQ(tensor.sum().item<float>(), 0);
  graph->Launch();
  graph->Launch();
  EXPECT_EQ(tensor.sum().item<float>(), 32);
}

TEST_F(CudaTest, AnErrorWhileAGraphIsCapturedLeavesTheStreamUsable) {
  EXPECT_THROW(runtime_->CaptureGraph([] { throw std::runtime_error("no"); }), std::runtime_error);
  EXPECT_EQ(at::ones({4}, at::kCUDA).sum().item<float>(), 4);
}

TEST_F(CudaTest, DescribesTheCard) {
  const Device device = runtime_->Describe();

  EXPECT_EQ(device.kind, DeviceKind::kCuda);
  EXPECT_GT(device.overhead_bytes, 50 << 20);
  EXPECT_LT(device.overhead_bytes, device.memory_bytes);
  EXPECT_GT(device.graph_node_bytes, 0);
  EXPECT_LT(device.graph_node_bytes, 64 << 10);
  ASSERT_GE(device.copy_times.size(), 5U);
  for (const CopyTime& time : device.copy_times) {
    EXPECT_GT(time.to_host_ns, 0);
    EXPECT_GE(time.both_ns * 11 / 10, std::max(time.to_host_ns, time.to_device_ns));
  }
}

TEST_F(CudaTest, AProfileKnowsWhatAStepTakesBeyondItsOps) {
  const Profile profile = RecordProfile(SmallTraining(), {}, *runtime_, {});

  EXPECT_GT(profile.context.step_permille, 500);
  EXPECT_LT(profile.context.step_permille, 2000);
  EXPECT_GT(profile.device.wait_ns, 0);
  EXPECT_LT(profile.device.wait_ns, 50'000);
}

TEST_F(CudaTest, APlannedGraphEqualsTheUnplannedRunBitForBit) {
  const Program program = SmallTraining();
  const Profile profile = CaptureOn(program, *runtime_);
  const Plan plan = KeepAllPlan(profile);
  const Results expected = RunUnplanned(program, *runtime_, NamedValues());

  const Report report =
      ExecuteAndVerify(profile, plan, *runtime_, NamedValues(), expected, {.iteration_count = 3});

  EXPECT_EQ(report.mode, "cuda-graph");
  EXPECT_THAT(report.verification->differing, IsEmpty());
  EXPECT_EQ(report.verification->weight_count, 6);
  EXPECT_THAT(report.served.foreign, IsEmpty());
  EXPECT_EQ(report.served.mismatch_count, 0);
  EXPECT_EQ(report.arena_bytes, plan.arena_bytes);
  EXPECT_EQ(FirstMemoryDifference(Simulate(profile, plan), report), "");
  EXPECT_GT(report.process_bytes, plan.arena_bytes);
}

TEST_F(CudaTest, OpByOpGivesTheSameResultsWithPoison) {
  const Program program = SmallTraining(/*repeat_count=*/1);
  const Profile profile = CaptureOn(program, *runtime_);
  const Results expected = RunUnplanned(program, *runtime_, NamedValues());

  const Report report =
      ExecuteAndVerify(profile, KeepAllPlan(profile), *runtime_, NamedValues(), expected,
                       {.iteration_count = 1, .use_graph = false, .poison = true});

  EXPECT_EQ(report.mode, "op-by-op");
  EXPECT_THAT(report.verification->differing, IsEmpty());
  EXPECT_THAT(report.served.foreign, IsEmpty());
}

TEST_F(CudaTest, AttentionWhoseSeedMovesToTheDeviceInAGraphRunsInBothModes) {
  const Program program = [](ProgramHost& host) {
    const at::Tensor heads =
        host.Persistent("heads", BufferRole::kWeight, {1, 2, 64, 16}, at::kFloat).requires_grad_();
    host.Phase("step", 1, [&] {
      const at::Tensor attended = std::get<0>(at::_scaled_dot_product_efficient_attention(
          heads, heads, heads, std::nullopt, /*compute_log_sumexp=*/true));
      const at::Tensor loss = at::mse_loss(attended, at::zeros_like(attended));
      host.Mark(loss, "loss", BufferRole::kOutput);
      loss.backward();
      host.Mark(std::exchange(heads.mutable_grad(), {}), "heads", BufferRole::kGradient);
    });
  };
  const Profile profile = CaptureOn(program, *runtime_);
  const Plan plan = KeepAllPlan(profile);
  const Results expected = RunUnplanned(program, *runtime_, NamedValues());
  for (const bool use_graph : {true, false}) {
    const Report report = ExecuteAndVerify(profile, plan, *runtime_, NamedValues(), expected,
                                           {.iteration_count = 3, .use_graph = use_graph});
    EXPECT_EQ(report.mode, use_graph ? "cuda-graph" : "op-by-op");
    EXPECT_THAT(report.verification->differing, IsEmpty());
    EXPECT_THAT(report.served.foreign, IsEmpty());
    EXPECT_EQ(report.served.mismatch_count, 0);
    EXPECT_EQ(FirstMemoryDifference(Simulate(profile, plan), report), "");
  }
}

TEST_F(CudaTest, ACopyStreamWaitsForWhatAGraphSignalsAndTheGraphForIt) {
  // In the graph: write 7; (a copy to the host and back elsewhere); read that, add 1.
  const std::unique_ptr<CopyStreams> streams = runtime_->MakeCopyStreams();
  ASSERT_NE(streams, nullptr);
  const at::Tensor from = at::zeros({1 << 20}, at::kCUDA);
  const at::Tensor to = at::zeros({1 << 20}, at::kCUDA);
  const at::Tensor sum = at::zeros({1 << 20}, at::kCUDA);
  const auto size_bytes = static_cast<std::int64_t>(from.nbytes());
  void* const host = runtime_->AllocateHost(size_bytes);
  const auto graph = runtime_->CaptureGraph([&] {
    from.add_(7);
    streams->Signal(Stream::kCompute, 1);
    streams->Mark(Stream::kCompute, 0);
    streams->Await(Stream::kCompute, Stream::kToDevice, 1);
    streams->Mark(Stream::kCompute, 1);
    sum.add_(to);
  });
  for (int i = 0; i < 20; ++i) {
    streams->Begin();
    graph->Launch();
    streams->Await(Stream::kToHost, Stream::kCompute, 1);
    streams->Copy(Stream::kToHost, host, from.const_data_ptr(), size_bytes);
    streams->Signal(Stream::kToHost, 1);
    streams->Await(Stream::kToDevice, Stream::kToHost, 1);
    streams->Delay(Stream::kToDevice, 1'000'000);
    streams->Copy(Stream::kToDevice, to.mutable_data_ptr(), host, size_bytes);
    streams->Signal(Stream::kToDevice, 1);
    streams->End();
  }
  runtime_->Synchronize();
  // 7 + 14 + ... + 140
  EXPECT_TRUE((sum == 7 * 210).all().item<bool>());
  EXPECT_GT(streams->TimeBetween(0, 1), 1'000'000);
  runtime_->FreeHost(host);
}

TEST_F(CudaTest, ALoopTakesNewInputsAndGivesTheOutputsOfEachIteration) {
  const Profile profile = CaptureOn(SmallTraining(), *runtime_);
  const auto losses_of = [&](bool use_graph) {
    std::vector<float> losses;
    RunLoop(
        profile, KeepAllPlan(profile), *runtime_, NamedValues(),
        {.iteration_count = 6,
         .use_graph = use_graph,
         .next_input =
             [](std::int64_t iteration, const Buffer& buffer, const at::Tensor& value) {
               value.fill_(buffer.name == "lr" ? 0.01 : 0.1 * static_cast<double>(iteration + 1));
             },
         .on_output = [&](std::int64_t, const Buffer&,
                          const at::Tensor& value) { losses.push_back(value.item<float>()); }});
    return losses;
  };
  const std::vector<float> losses = losses_of(/*use_graph=*/true);
  ASSERT_EQ(losses.size(), 6U);
  EXPECT_NE(losses[2], losses[3]);
  EXPECT_EQ(losses, losses_of(/*use_graph=*/false));
}

TEST_F(CudaTest, CopyStreamsEndEvenIfTheyWaitForWhatNeverComes) {
  const std::unique_ptr<CopyStreams> streams = runtime_->MakeCopyStreams();
  ASSERT_NE(streams, nullptr);
  streams->Begin();
  streams->Await(Stream::kToHost, Stream::kCompute, 1);
}

TEST_F(CudaTest, PagedStatesAndActivationsAreEqualBesideAGraphAndOpByOp) {
  const Program program = SmallTraining(/*repeat_count=*/3);
  const Profile profile = CaptureOn(program, *runtime_);
  const Plan plan =
      PagedPlan(profile, KeepAllPlan(profile),
                {.state_bytes = 1 << 20, .activation_bytes = 1 << 20, .shard_bytes = 1 << 15});
  ASSERT_FALSE(plan.shards.empty());
  ASSERT_FALSE(plan.host.empty());
  const Results expected = RunUnplanned(program, *runtime_, NamedValues());
  for (const bool use_graph : {true, false}) {
    for (const std::uint64_t seed : {1, 2, 3}) {
      const Report report =
          ExecuteAndVerify(profile, plan, *runtime_, NamedValues(), expected,
                           {.iteration_count = 3,
                            .use_graph = use_graph,
                            .poison = seed == 1,
                            .jitter_seed = seed == 3 ? std::nullopt : std::optional(seed)});
      EXPECT_EQ(report.mode, use_graph ? "cuda-graph" : "op-by-op");
      EXPECT_THAT(report.verification->differing, IsEmpty());
      EXPECT_THAT(report.served.foreign, IsEmpty());
      EXPECT_EQ(FirstMemoryDifference(Simulate(profile, plan), report), "");
      ASSERT_EQ(report.streams.size(), 3U);
      EXPECT_GT(report.streams[1].busy_ns, 0);
      EXPECT_GT(report.streams[2].busy_ns, 0);
    }
  }
}

}  // namespace
}  // namespace stint
