#include "kernels/geglu.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/kernels/reference.h"

namespace stint {
namespace {

TEST(GegluTest, EqualsItsPartsAndTheirGradients) {
  const at::Tensor input = at::randn({2, 3, 10}, at::kDouble);
  const at::Tensor grad_output = at::randn({2, 3, 5}, at::kDouble);
  const auto run = [&](auto geglu) {
    const at::Tensor leaf = input.detach().clone().set_requires_grad(true);
    const at::Tensor output = geglu(leaf);
    output.backward(grad_output);
    return std::pair(output.detach(), leaf.grad());
  };
  const auto [output, gradient] = run(&Geglu);
  const auto [expected_output, expected_gradient] = run([](const at::Tensor& leaf) {
    const auto halves = at::chunk(leaf, 2, -1);
    return at::mul(halves[0], at::gelu(halves[1]));
  });
  EXPECT_LT(RelativeError(output, expected_output), 1e-14);
  EXPECT_LT(RelativeError(gradient, expected_gradient), 1e-14);
}

TEST(GegluTest, RefusesWhatHasNoHalves) {
  EXPECT_THROW(Geglu(at::ones({2, 5})), c10::Error);
  EXPECT_THROW(Geglu(at::ones({4, 2}).t()), c10::Error);
}

}  // namespace
}  // namespace stint
