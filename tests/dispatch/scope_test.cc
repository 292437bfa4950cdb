#include "dispatch/scope.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/dispatch/programs.h"

namespace stint {
namespace {

TEST(ScopeTest, PathsNestAndEndWithTheirScope) {
  EXPECT_EQ(CurrentModulePath(), "");
  {
    const ModuleScope block("down_blocks.0");
    {
      const ModuleScope conv("resnets.1");
      EXPECT_EQ(CurrentModulePath(), "down_blocks.0.resnets.1");
    }
    EXPECT_EQ(CurrentModulePath(), "down_blocks.0");
  }
  EXPECT_EQ(CurrentModulePath(), "");
}

TEST(ScopeTest, BackwardOpsAreNamedAfterTheModuleOfTheirForwardOp) {
  const Profile profile = fixtures::Capture(fixtures::TrainBlock(1));

  const Op& convolution = fixtures::FindOp(profile, "aten::convolution_backward");
  EXPECT_EQ(convolution.module, "resnet.conv");
  EXPECT_TRUE(convolution.is_backward);
  EXPECT_EQ(fixtures::FindOp(profile, "aten::native_group_norm_backward").module, "resnet");
  EXPECT_EQ(fixtures::FindOp(profile, "aten::native_group_norm").module, "resnet");
  EXPECT_FALSE(fixtures::FindOp(profile, "aten::native_group_norm").is_backward);
  EXPECT_EQ(fixtures::FindOp(profile, "aten::mse_loss_backward").module, "");
}

TEST(ScopeTest, OpsThatAccumulateAGradientAreNamedAfterTheParameter) {
  const Profile profile = fixtures::Capture(fixtures::TrainBlock(2));

  std::multiset<std::string> modules;
  for (const Op& op : profile.ops) {
    if (op.name != "aten::add_.Tensor" || !op.is_backward) continue;
    const Buffer& sum = profile.buffers[Index(op.writes[0])];
    if (sum.role == BufferRole::kGradient) modules.insert(op.module);
  }
  EXPECT_THAT(modules,
              testing::ElementsAre("attention", "attention.out", "conv", "conv", "norm", "norm"));
}

}  // namespace
}  // namespace stint
