#include "kernels/affine.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/kernels/reference.h"

namespace stint {
namespace {

TEST(AffineTest, EqualsLibTorchsLinearAndItsGradients) {
  const at::Tensor grad_output = at::randn({2, 3, 4}, at::kDouble);
  const std::vector<at::Tensor> values = {at::randn({2, 3, 5}, at::kDouble),
                                          at::randn({4, 5}, at::kDouble),
                                          at::randn({4}, at::kDouble)};
  const auto run = [&](auto linear) {
    std::vector<at::Tensor> leaves;
    for (const at::Tensor& value : values) {
      leaves.push_back(value.detach().clone().set_requires_grad(true));
    }
    const at::Tensor output = linear(leaves[0], leaves[1], leaves[2]);
    output.backward(grad_output);
    return std::vector<at::Tensor>{output.detach(), leaves[0].grad(), leaves[1].grad(),
                                   leaves[2].grad()};
  };
  const auto actual = run([](const auto&... leaves) { return Affine(leaves...); });
  const auto expected = run([](const auto&... leaves) { return at::linear(leaves...); });
  for (std::size_t i = 0; i < actual.size(); ++i) {
    EXPECT_LT(RelativeError(actual[i], expected[i]), 1e-14) << "result " << i;
    EXPECT_TRUE(actual[i].is_contiguous()) << "result " << i;
  }
}

TEST(AffineTest, MakesNoGradientOfWhatIsFrozen) {
  const at::Tensor input = at::randn({3, 5}).set_requires_grad(true);
  const at::Tensor weight = at::randn({4, 5});
  Affine(input, weight, at::randn({4})).sum().backward();
  EXPECT_TRUE(input.grad().defined());
  EXPECT_FALSE(weight.grad().defined());
}

TEST(SumRowsTest, RefusesWhatIsNoContiguousMatrix) {
  EXPECT_THROW(SumRows(at::ones({2, 3, 4})), c10::Error);
  EXPECT_THROW(SumRows(at::ones({2, 3}).t()), c10::Error);
}

}  // namespace
}  // namespace stint
