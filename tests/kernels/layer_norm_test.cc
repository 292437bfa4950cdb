#include "kernels/layer_norm.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include "tests/kernels/reference.h"

namespace stint {
namespace {

class AddLayerNormTest : public testing::TestWithParam<bool> {};

TEST_P(AddLayerNormTest, EqualsItsPartsAndTheirGradients) {
  const LayerNormArguments arguments = MakeLayerNormArguments({3, 5, 8}, GetParam());
  const auto actual = RunAddLayerNorm(arguments);
  const auto expected = RunLayerNormReference(arguments);
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    EXPECT_LT(RelativeError(actual[i], expected[i]), 1e-12) << "result " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Residual, AddLayerNormTest, testing::Bool());

TEST(AddLayerNormEdgeTest, PassesTheGradientOfAnUnusedOutputOn) {
  const at::Tensor input = at::randn({2, 8}).set_requires_grad(true);
  const at::Tensor residual = at::randn({2, 8});
  const at::Tensor ones = at::ones({8});
  AddLayerNorm(input, residual, ones, ones, 1e-5).first.sum().backward();
  EXPECT_TRUE(at::equal(input.grad(), at::ones({2, 8})));
}

TEST(AddLayerNormEdgeTest, RefusesOtherShapes) {
  const at::Tensor input = at::ones({2, 8});
  const at::Tensor ones = at::ones({8});
  EXPECT_THROW(AddLayerNorm(input, at::ones({8}), ones, ones, 1e-5), c10::Error);
  EXPECT_THROW(AddLayerNorm(input, std::nullopt, at::ones({7}), ones, 1e-5), c10::Error);
  EXPECT_THROW(AddLayerNorm(input.t(), std::nullopt, at::ones({2}), at::ones({2}), 1e-5),
               c10::Error);
}

}  // namespace
}  // namespace stint
