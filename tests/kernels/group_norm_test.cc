#include "kernels/group_norm.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "dispatch/capture.h"
#include "dispatch/device_runtime.h"
#include "tests/kernels/reference.h"

namespace stint {
namespace {

using testing::ElementsAre;

/// Whether there is a shift, whether there is a SiLU.
class GroupNormTest : public testing::TestWithParam<std::tuple<bool, bool>> {
 protected:
  void SetUp() override { at::set_num_threads(1); }
  bool has_shift() const { return std::get<0>(GetParam()); }
  GroupNormOptions options() const {
    return {.group_count = 4, .epsilon = 1e-5, .has_silu = std::get<1>(GetParam())};
  }
};

TEST_P(GroupNormTest, EqualsLibTorchInFloat64) {
  const NormArguments arguments = MakeNormArguments({2, 12, 5, 3}, has_shift(), 0.5);
  const auto actual = RunOurs(arguments, options());
  const auto expected = RunReference(arguments, options());
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    EXPECT_LT(RelativeError(actual[i], expected[i]), 1e-12) << "result " << i;
  }
  EXPECT_TRUE(actual[0].is_contiguous(at::MemoryFormat::ChannelsLast));
  EXPECT_TRUE(actual[1].is_contiguous(at::MemoryFormat::ChannelsLast));
}

TEST_P(GroupNormTest, IsAsExactAsLibTorchInBfloat16) {
  const NormArguments exact = MakeNormArguments({2, 16, 8, 8}, has_shift(), 3);
  const NormArguments rounded = To(exact, at::kBFloat16);
  const auto expected = RunReference(To(rounded, at::kDouble), options());
  const auto actual = RunOurs(rounded, options());
  const auto reference = RunReference(rounded, options());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    EXPECT_EQ(actual[i].scalar_type(), at::kBFloat16);
    EXPECT_LE(RelativeError(actual[i], expected[i]),
              1.01 * RelativeError(reference[i], expected[i]))
        << "result " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(ShiftAndSilu, GroupNormTest,
                         testing::Combine(testing::Bool(), testing::Bool()));

TEST(GroupNormRefusalTest, RefusesOtherLayoutsAndShapes) {
  const NormArguments good = MakeNormArguments({1, 8, 4, 4}, true, 0);
  const auto run = [](const NormArguments& a, std::int64_t group_count) {
    GroupNormNhwc(a.input, a.shift, a.weight, a.bias, {.group_count = group_count});
  };
  run(good, 2);
  EXPECT_THROW(run(good, 3), c10::Error);
  NormArguments bad = good;
  bad.input = good.input.contiguous();
  EXPECT_THROW(run(bad, 2), c10::Error);
  bad = good;
  bad.weight = at::ones({7}, at::kDouble);
  EXPECT_THROW(run(bad, 2), c10::Error);
  bad = good;
  bad.shift = at::ones({2, 8}, at::kDouble);
  EXPECT_THROW(run(bad, 2), c10::Error);
  bad = good;
  bad.bias = good.bias.to(at::kFloat);
  EXPECT_THROW(run(bad, 2), c10::Error);
}

TEST(GroupNormCaptureTest, IsOneOpForwardAndOneBackward) {
  const Program program = [](ProgramHost& host) {
    const auto persistent = [&](const std::string& name, const std::vector<std::int64_t>& sizes,
                                at::MemoryFormat format) {
      return host.Persistent(name, BufferRole::kWeight, sizes, at::kFloat, format)
          .set_requires_grad(true);
    };
    const at::Tensor input = persistent("input", {1, 8, 4, 4}, at::MemoryFormat::ChannelsLast);
    const at::Tensor weight = persistent("weight", {8}, at::MemoryFormat::Contiguous);
    const at::Tensor bias = persistent("bias", {8}, at::MemoryFormat::Contiguous);
    const at::Tensor output = GroupNormNhwc(input, std::nullopt, weight, bias, {.group_count = 2});
    at::sum(output).backward();
    host.Mark(input.grad(), "input", BufferRole::kGradient);
    for (const at::Tensor& tensor : {input, weight, bias}) tensor.mutable_grad().reset();
  };
  const std::unique_ptr<DeviceRuntime> runtime = MakeDeviceRuntime("cpu");
  const Profile profile = CaptureProgram(program, *runtime, {});
  std::vector<std::string> names;
  for (const Op& op : profile.ops) {
    if (op.name.starts_with("stint::")) names.push_back(op.name);
  }
  EXPECT_THAT(names, ElementsAre("stint::group_norm_nhwc", "stint::group_norm_nhwc_backward"));
  EXPECT_THAT(profile.tensors[0].strides, ElementsAre(128, 1, 32, 8));
}

}  // namespace
}  // namespace stint
