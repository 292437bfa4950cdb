#include "kernels/stochastic_rounding.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "kernels/adamw.h"

namespace stint {
namespace {

float ToFloat(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

TEST(StochasticRoundingTest, RoundsUpAsOftenAsTheRestIsLarge) {
  // 1 + k / 1024 lies between the bfloat16 1 and 1 + 1 / 128.
  constexpr std::int64_t kCount = 100'000;
  for (const int eighths : {0, 1, 3, 4, 7}) {
    const float value = 1 + static_cast<float>(eighths) / 1024;
    std::int64_t up_count = 0;
    for (std::int64_t i = 0; i < kCount; ++i) {
      const float rounded = ToFloat(
          RoundToBfloat16(std::bit_cast<std::uint32_t>(value), RoundingBits(RoundingKey(3, 5), i)));
      ASSERT_TRUE(rounded == 1 || rounded == 1 + 1.0F / 128);
      if (rounded > 1) ++up_count;
    }
    EXPECT_NEAR(static_cast<double>(up_count) / kCount, eighths / 8.0, 0.005);
  }
}

TEST(StochasticRoundingTest, LeavesBfloat16InfinitiesAndNanAsTheyAre) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const float value : {0.0F, -0.0F, 1.5F, -3.0F, kInfinity, -kInfinity}) {
    EXPECT_EQ(ToFloat(RoundToBfloat16(std::bit_cast<std::uint32_t>(value), 0xffffffffU)), value);
  }
  for (const std::uint32_t nan_bits : {0x7fc00000U, 0x7f800001U, 0xff80ffffU}) {
    EXPECT_TRUE(std::isnan(ToFloat(RoundToBfloat16(nan_bits, 0xffffffffU)))) << nan_bits;
  }
}

/// The mean weight after `step_count` steps that each move a weight of 1 by about 1e-5, a
/// four-hundredth of the distance to its neighbour below.
double MeanAfter(int step_count, const std::vector<std::int64_t>& keys) {
  const auto options = at::TensorOptions(at::kBFloat16);
  AdamWTensors tensors{.rounding_keys = keys};
  tensors.weights = {at::ones({10'000}, options), at::ones({100, 100}, options)};
  for (const at::Tensor& weight : tensors.weights) {
    tensors.gradients.push_back(at::ones_like(weight));
    tensors.exp_avgs.push_back(at::ones_like(weight));
    tensors.exp_avg_sqs.push_back(at::ones_like(weight));
  }
  const at::Tensor step = at::full({}, 1e6, at::kFloat);  // Bias corrections are over.
  for (int i = 0; i < step_count; ++i) {
    step.add_(1);
    AdamWStep(tensors, step, at::full({}, 1e-5, at::kFloat), std::nullopt, {});
  }
  return tensors.weights[0].to(at::kDouble).mean().item<double>();
}

TEST(StochasticRoundingTest, SmallUpdatesAddUpWhereNearestRoundingLosesThem) {
  EXPECT_EQ(MeanAfter(100, {}), 1);
  EXPECT_NEAR(MeanAfter(100, {7, 8}), 1 - 100 * 1e-5, 5e-5);
}

TEST(StochasticRoundingTest, BitsDependOnTheParameterAndTheStepOnly) {
  const auto run = [](const std::vector<std::int64_t>& keys, double step) {
    const at::Tensor start = at::linspace(-1, 1, 1000).to(at::kBFloat16);
    AdamWTensors tensors{.rounding_keys = keys};
    for (std::size_t i = 0; i < keys.size(); ++i) {
      tensors.weights.push_back(start.clone());
      tensors.gradients.push_back(start.clone());
      tensors.exp_avgs.push_back(start.clone());
      tensors.exp_avg_sqs.push_back(start.square());
    }
    AdamWStep(tensors, at::full({}, step, at::kFloat), at::full({}, 1e-3, at::kFloat), std::nullopt,
              {});
    return tensors.weights;
  };
  const auto both = run({1, 2}, 10);
  EXPECT_TRUE(at::equal(run({2}, 10)[0], both[1])) << "grouped otherwise";
  EXPECT_FALSE(at::equal(both[0], both[1]));
  EXPECT_FALSE(at::equal(run({1}, 11)[0], both[0]));
}

}  // namespace
}  // namespace stint
