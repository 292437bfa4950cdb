#include "dispatch/capture.h"

#include <ATen/ATen.h>
#include <ATen/ScalarOps.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <memory>
#include <vector>

#include "dispatch/replay.h"
#include "dispatch/scope.h"
#include "ir/errors.h"
#include "tests/dispatch/programs.h"

namespace stint {
namespace {

using fixtures::Capture;
using fixtures::FindBuffer;
using fixtures::FindOp;
using fixtures::OnePhase;
using fixtures::Refusal;
using testing::ElementsAre;
using testing::HasSubstr;

at::Tensor Input(ProgramHost& host, const std::vector<std::int64_t>& sizes = {4, 4}) {
  return host.Persistent("x", BufferRole::kInput, sizes, at::kFloat);
}

class MicroSteps : public testing::TestWithParam<int> {};

// Trap: autograd steals the first gradient and adds the later ones in place, by reference counts.
TEST_P(MicroSteps, RecordsTheOpsOfAnOrdinaryRun) {
  const Program program = fixtures::TrainBlock(GetParam());

  const Profile profile = Capture(program);

  EXPECT_EQ(fixtures::RecordedOps(profile), fixtures::OrdinaryOps(program));
  EXPECT_NO_THROW(Validate(profile));
}

INSTANTIATE_TEST_SUITE_P(CaptureTest, MicroSteps, testing::Values(1, 2, 4));

TEST(CaptureTest, ReplayOfTheProfileGivesTheResultsOfAnOrdinaryRun) {
  const Program program = fixtures::TrainBlock(2);
  const Profile profile = Capture(program);
  fixtures::RealHost ordinary;
  program(ordinary);

  fixtures::RealHost loader;
  std::vector<std::vector<char>> memory;
  for (const Buffer& buffer : profile.buffers) {
    memory.emplace_back(static_cast<std::size_t>(buffer.size_bytes) + 1);
    if (!buffer.is_persistent) continue;
    const auto count = buffer.size_bytes / static_cast<std::int64_t>(sizeof(float));
    std::vector<std::int64_t> sizes = {count};
    const at::Tensor value = loader.Persistent(buffer.name, buffer.role, sizes, at::kFloat,
                                               at::MemoryFormat::Contiguous);
    std::memcpy(memory.back().data(), value.const_data_ptr(), value.nbytes());
  }
  const OpTable table(profile);
  for (std::size_t i = 0; i < profile.ops.size(); ++i) {
    table.Call(
        OpId{static_cast<std::int32_t>(i)}, 0,
        [&](BufferId id) -> void* { return memory[Index(id)].data(); },
        [&](BufferId id, void* data) {
          const std::int64_t size_bytes = profile.buffers[Index(id)].size_bytes;
          std::memcpy(memory[Index(id)].data(), data, static_cast<std::size_t>(size_bytes));
        });
  }

  int compared_count = 0;
  for (std::size_t i = 0; i < profile.buffers.size(); ++i) {
    const Buffer& buffer = profile.buffers[i];
    const auto& values = buffer.is_persistent ? ordinary.persistents : ordinary.outputs;
    const bool is_gradient = buffer.role == BufferRole::kGradient;
    const auto expected = values.find(is_gradient ? "grad:" + buffer.name : buffer.name);
    if (expected == values.end()) continue;
    EXPECT_EQ(
        std::memcmp(memory[i].data(), expected->second.const_data_ptr(), expected->second.nbytes()),
        0)
        << expected->first;
    ++compared_count;
  }
  EXPECT_EQ(compared_count, 6 + 6 * 3 + 3 + 6 + 2);  // Weights, states, inputs, gradients, losses.
}

TEST(CaptureTest, CapturesOfOneProgramAreEqual) {
  const Program program = fixtures::TrainBlock(1);

  EXPECT_EQ(ProfileSha256(Capture(program)), ProfileSha256(Capture(program)));
}

TEST(CaptureTest, AnOpIsWrittenDownWithItsArgumentsAndItsRequest) {
  const Profile profile = Capture(OnePhase([](ProgramHost& host) {
    const at::Tensor x = Input(host, {2, 3});
    const at::Tensor sum = at::add(x, x.t().contiguous().t(), 2);
    host.Mark(sum, "sum", BufferRole::kOutput);
  }));

  const Op& add = FindOp(profile, "aten::add.Tensor");
  ASSERT_EQ(add.arguments.size(), 3U);
  const Tensor& left = profile.tensors[Index(std::get<TensorArgument>(add.arguments[0]).tensor)];
  const Tensor& right = profile.tensors[Index(std::get<TensorArgument>(add.arguments[1]).tensor)];
  EXPECT_THAT(left.strides, ElementsAre(3, 1));
  EXPECT_THAT(right.strides, ElementsAre(1, 2));
  EXPECT_EQ(std::get<std::int64_t>(add.arguments[2]), 2);
  ASSERT_EQ(add.requests.size(), 1U);
  EXPECT_EQ(add.requests[0].size_bytes, 24);
  EXPECT_EQ(profile.buffers[Index(*add.requests[0].buffer)].name, "sum");
  EXPECT_EQ(profile.buffers[Index(*add.requests[0].buffer)].role, BufferRole::kOutput);
}

TEST(CaptureTest, EveryKindOfArgumentIsKept) {
  const Profile profile = Capture(OnePhase([](ProgramHost& host) {
    const at::Tensor x = Input(host);
    const at::Tensor index = host.Persistent("index", BufferRole::kInput, {2}, at::kLong);
    at::index(x, c10::List<std::optional<at::Tensor>>({std::nullopt, index}));  // Optional list.
    at::sum(x, at::IntArrayRef{0, 1}, /*keepdim=*/true, at::kDouble);           // Integers, dtype.
    at::gelu(x, "tanh");
    x.to(at::TensorOptions(at::kBFloat16));
    at::mul(x, at::native::wrapped_scalar_tensor(0.5));
    at::upsample_nearest2d(x.view({1, 1, 4, 4}), {8, 8}, 2.0, std::nullopt);
    at::full({2}, 1.5, at::TensorOptions(at::kFloat).device(host.device()));
  }));

  const auto& list =
      std::get<TensorListArgument>(FindOp(profile, "aten::index.Tensor").arguments[1]);
  EXPECT_FALSE(list.tensors[0].has_value());
  EXPECT_TRUE(list.tensors[1].has_value());
  const Op& sum = FindOp(profile, "aten::sum.dim_IntList");
  EXPECT_THAT(std::get<IntListArgument>(sum.arguments[1]).values, ElementsAre(0, 1));
  EXPECT_EQ(std::get<bool>(sum.arguments[2]), true);
  EXPECT_EQ(std::get<std::int64_t>(sum.arguments[3]), static_cast<int>(at::kDouble));
  EXPECT_EQ(std::get<std::string>(FindOp(profile, "aten::gelu").arguments[1]), "tanh");
  const auto& half = std::get<WrappedNumber>(FindOp(profile, "aten::mul.Tensor").arguments[1]);
  EXPECT_EQ(half.dtype, "float64");
  EXPECT_EQ(half.value, 0.5);
  const Op& upsample = FindOp(profile, "aten::upsample_nearest2d");
  EXPECT_EQ(std::get<double>(upsample.arguments[2]), 2.0);
  EXPECT_TRUE(std::holds_alternative<NoArgument>(upsample.arguments[3]));
  const Op& full = FindOp(profile, "aten::full");
  EXPECT_EQ(std::get<DeviceArgument>(full.arguments[4]).device, "cpu");
  EXPECT_NO_THROW(OpTable{profile});
}

TEST(CaptureTest, ViewsAreTensorsAndNoOps) {
  const Profile profile = Capture(OnePhase([](ProgramHost& host) {
    const at::Tensor x = Input(host);
    at::relu(at::_unsafe_view(x.slice(0, 1, 3), {8}));  // _unsafe_view's schema hides it.
  }));

  ASSERT_EQ(profile.ops.size(), 1U);
  const Op& relu = profile.ops[0];
  const Tensor& view = profile.tensors[Index(std::get<TensorArgument>(relu.arguments[0]).tensor)];
  EXPECT_EQ(view.buffer, BufferId{0});
  EXPECT_THAT(view.sizes, ElementsAre(8));
  EXPECT_EQ(view.storage_offset, 4);
}

TEST(CaptureTest, PhasesFollowEachOther) {
  const Program program = [](ProgramHost& host) {
    at::Tensor x = Input(host);
    host.Phase("first", 1, [&] { x.add_(1); });
    host.Phase("middle", 6, [&] {
      x.mul_(2);
      x.add_(1);
    });
  };

  const Profile profile = Capture(program);

  ASSERT_EQ(profile.phases.size(), 2U);
  EXPECT_EQ(profile.phases[0].name, "first");
  EXPECT_EQ(profile.phases[1].begin, OpId{1});
  EXPECT_EQ(profile.phases[1].end, OpId{3});
  EXPECT_EQ(profile.phases[1].repeat_count, 6);
}

TEST(CaptureTest, AProgramWithoutPhasesIsOneStep) {
  const Profile profile = Capture([](ProgramHost& host) { at::relu(Input(host)); });

  ASSERT_EQ(profile.phases.size(), 1U);
  EXPECT_EQ(profile.phases[0].name, "step");
  EXPECT_EQ(profile.phases[0].repeat_count, 1);
}

TEST(CaptureTest, MalformedProgramsAreRefused) {
  EXPECT_THAT(Refusal([](ProgramHost&) {}), HasSubstr("issues no ops"));
  EXPECT_THAT(Refusal([](ProgramHost& host) {
                Input(host);
                Input(host);
              }),
              HasSubstr("x: exists already"));
  EXPECT_THAT(Refusal([](ProgramHost& host) { host.Phase("idle", 1, [] {}); }),
              HasSubstr("phase 'idle': has no ops"));
  EXPECT_THAT(Refusal([](ProgramHost& host) {
                const at::Tensor x = Input(host);
                host.Phase("a", 1, [&] { at::relu(x); });
                at::relu(x);
              }),
              HasSubstr("aten::relu: runs outside of the phases"));
  EXPECT_THAT(
      Refusal([](ProgramHost& host) { host.Phase("a", 1, [&] { host.Phase("b", 1, [] {}); }); }),
      HasSubstr("phase 'b': begins inside another phase"));
  EXPECT_THAT(Refusal([](ProgramHost& host) { host.Phase("a", 0, [] {}); }),
              HasSubstr("phase 'a': is to run less than once"));
  EXPECT_THAT(Refusal([](ProgramHost& host) {
                at::relu(Input(host));
                host.Mark(at::Tensor(), "y", BufferRole::kOutput);
              }),
              HasSubstr("result 'y': is no tensor that the program made"));
}

TEST(CaptureTest, TensorsFromOutsideAreRefusedByOpAndModule) {
  const at::Tensor outside = at::ones({4, 4});

  EXPECT_THAT(Refusal(OnePhase([&](ProgramHost& host) {
                const ModuleScope scope("mid_block");
                at::matmul(Input(host), outside);
              })),
              HasSubstr("aten::mm in mid_block: reads a float32 tensor of 16 elements that the "
                        "program did not make"));
}

TEST(CaptureTest, OpsAreTimedOnceForEachSignature) {
  int timed_count = 0;
  std::int64_t reported_count = 0;
  CaptureOptions options;
  options.time_op = [&](const std::function<void()>& issue) {
    issue();
    return OpTiming{.duration_ns = 100 + ++timed_count, .spread_ns = 1};
  };
  options.on_op = [&](std::int64_t op_count) { reported_count = op_count; };
  const std::unique_ptr<DeviceRuntime> runtime = MakeDeviceRuntime("cpu");

  const Profile profile = CaptureProgram(OnePhase([](ProgramHost& host) {
                                           const at::Tensor x = Input(host);
                                           at::relu(at::relu(x));
                                           at::add(x, x);  // Both arguments are one storage,
                                           at::add(x, at::relu(x));  // or two.
                                         }),
                                         *runtime, options);

  EXPECT_EQ(timed_count, 3);
  EXPECT_EQ(reported_count, 5);
  EXPECT_EQ(profile.ops[0].duration_ns, 101);
  EXPECT_EQ(profile.ops[1].duration_ns, 101);
  EXPECT_EQ(profile.ops[2].duration_ns, 102);
  EXPECT_EQ(profile.ops[3].duration_ns, 101);
  EXPECT_EQ(profile.ops[4].duration_ns, 103);
}

}  // namespace
}  // namespace stint
