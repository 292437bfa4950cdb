// The CUDA kernels against float64 on the CPU, and against LibTorch's own at the same task.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <c10/cuda/CUDAFunctions.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <string>
#include <vector>

#include "kernels/adamw.h"
#include "kernels/affine.h"
#include "kernels/geglu.h"
#include "kernels/group_norm.h"
#include "tests/kernels/reference.h"

namespace stint {
namespace {

struct NormCase {
  std::string name{};
  std::vector<std::int64_t> sizes{};
  std::int64_t group_count = 32;
  bool has_shift = false;
  bool has_silu = false;
  double offset = 0;  // Far from zero, sums of squares lose digits.
};

const std::vector<NormCase> kNormCases = {
    {.name = "first", .sizes = {2, 320, 64, 64}},
    {.name = "silu", .sizes = {4, 320, 64, 64}, .has_silu = true},
    {.name = "shift_silu", .sizes = {4, 640, 32, 32}, .has_shift = true, .has_silu = true},
    {.name = "offset", .sizes = {2, 320, 32, 32}, .has_shift = true, .offset = 100},
    {.name = "widest", .sizes = {3, 2560, 8, 8}, .has_silu = true},
    {.name = "odd", .sizes = {5, 30, 7, 9}, .group_count = 10, .has_shift = true},
    {.name = "one_pixel", .sizes = {2, 64, 1, 1}, .group_count = 8, .has_silu = true},
    {.name = "narrow", .sizes = {1, 8, 64, 64}, .group_count = 2},
    {.name = "many_samples", .sizes = {40, 1280, 8, 8}, .has_shift = true, .has_silu = true},
};

class GroupNormCudaTest : public testing::TestWithParam<std::tuple<NormCase, at::ScalarType>> {
 protected:
  void SetUp() override {
    if (c10::cuda::device_count() == 0) GTEST_SKIP() << "no CUDA device";
  }
};

/// Our error may exceed LibTorch's by as much as two orders of adding the same numbers do.
double AllowedError(double reference_error, at::ScalarType dtype) {
  return dtype == at::kFloat ? std::max(reference_error, 3e-7) : 1.02 * reference_error;
}

TEST_P(GroupNormCudaTest, IsAsExactAsLibTorchAndRepeatsItsBits) {
  const auto& [norm, dtype] = GetParam();
  const GroupNormOptions options = {.group_count = norm.group_count, .has_silu = norm.has_silu};
  const NormArguments rounded =
      To(MakeNormArguments(norm.sizes, norm.has_shift, norm.offset), dtype);
  const NormArguments on_device = To(rounded, at::kCUDA);
  const auto expected = RunReference(To(rounded, at::kDouble), options);
  const auto reference = RunReference(on_device, options);
  const auto actual = RunOurs(on_device, options);
  const auto again = RunOurs(on_device, options);
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double error = RelativeError(actual[i], expected[i]);
    const double reference_error = RelativeError(reference[i], expected[i]);
    std::cout << "result " << i << ": error " << error << ", LibTorch's " << reference_error
              << "\n";
    EXPECT_LE(error, AllowedError(reference_error, dtype)) << "result " << i;
    EXPECT_TRUE(at::equal(actual[i], again[i])) << "result " << i;
    EXPECT_EQ(actual[i].sizes(), expected[i].sizes());
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, GroupNormCudaTest,
                         testing::Combine(testing::ValuesIn(kNormCases),
                                          testing::Values(at::kFloat, at::kHalf, at::kBFloat16)),
                         [](const auto& instance) {
                           return std::get<0>(instance.param).name + "_" +
                                  c10::toString(std::get<1>(instance.param));
                         });

class LayerNormCudaTest : public testing::TestWithParam<at::ScalarType> {};

TEST_P(LayerNormCudaTest, IsAsExactAsLibTorchAndRepeatsItsBits) {
  if (c10::cuda::device_count() == 0) GTEST_SKIP() << "no CUDA device";
  // 1000 rows of 320 take several turns; 1288 and 9 have no kernel of ours.
  for (const std::int64_t size : {320, 640, 1280, 1288, 9}) {
    for (const bool has_residual : {false, true}) {
      const LayerNormArguments rounded =
          To(MakeLayerNormArguments({4, 1000, size}, has_residual), GetParam());
      const LayerNormArguments on_device = To(rounded, at::kCUDA);
      const auto expected = RunLayerNormReference(To(rounded, at::kDouble));
      const auto reference = RunLayerNormReference(on_device);
      const auto actual = RunAddLayerNorm(on_device);
      const auto again = RunAddLayerNorm(on_device);
      for (std::size_t i = 0; i < actual.size(); ++i) {
        EXPECT_LE(RelativeError(actual[i], expected[i]),
                  AllowedError(RelativeError(reference[i], expected[i]), GetParam()))
            << "result " << i << " of size " << size << ", residual " << has_residual;
        EXPECT_TRUE(at::equal(actual[i], again[i])) << "result " << i;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, LayerNormCudaTest,
                         testing::Values(at::kFloat, at::kHalf, at::kBFloat16));

class AdamWCudaTest : public testing::TestWithParam<at::ScalarType> {};

/// Weights and moments after one step over all `sizes`, by parameter.
template <typename Step>
std::vector<at::Tensor> RunAdamW(at::Device device, at::ScalarType rounded, at::ScalarType dtype,
                                 const Step& step_with) {
  const at::Generator generator = at::detail::createCPUGenerator(3);
  AdamWTensors tensors;
  // More than one launch holds; tails of packs and of chunks.
  for (std::int64_t i = 0; i < 60; ++i) {
    const std::vector<std::int64_t> sizes = {i + 1, 97 * (i % 3) + 8 * i + 1};
    const auto random = [&] {
      return at::randn(sizes, generator, at::TensorOptions(at::kDouble))
          .to(rounded)
          .to(device, dtype);
    };
    tensors.weights.push_back(random());
    tensors.gradients.push_back(random());
    tensors.exp_avgs.push_back(random());
    tensors.exp_avg_sqs.push_back(random().abs());
  }
  const auto scalar = [&](double value) {
    return at::full({}, value, at::TensorOptions(at::kFloat).device(device));
  };
  step_with(tensors, scalar(3), scalar(0.01), scalar(1.5));
  std::vector<at::Tensor> results;
  for (const auto* list :
       {&tensors.weights, &tensors.gradients, &tensors.exp_avgs, &tensors.exp_avg_sqs}) {
    results.insert(results.end(), list->begin(), list->end());
  }
  return results;
}

TEST_P(AdamWCudaTest, IsAsExactAsLibTorchAndRepeatsItsBits) {
  if (c10::cuda::device_count() == 0) GTEST_SKIP() << "no CUDA device";
  const AdamWOptions options = {.weight_decay = 0.1};
  const auto ours = [&](const AdamWTensors& tensors, const at::Tensor& step, const at::Tensor& rate,
                        const at::Tensor& scale) {
    AdamWStep(tensors, step, rate, scale, options);
  };
  const auto libtorchs = [&](AdamWTensors& t, const at::Tensor& step, const at::Tensor& rate,
                             const at::Tensor& scale) {
    at::_fused_adamw_(t.weights, t.gradients, t.exp_avgs, t.exp_avg_sqs, {},
                      std::vector<at::Tensor>(t.weights.size(), step), rate, options.beta1,
                      options.beta2, options.weight_decay, options.epsilon, false, false, scale);
  };
  const auto expected = RunAdamW(at::kCPU, GetParam(), at::kDouble, libtorchs);
  const auto reference = RunAdamW(at::kCUDA, GetParam(), GetParam(), libtorchs);
  const auto actual = RunAdamW(at::kCUDA, GetParam(), GetParam(), ours);
  const auto again = RunAdamW(at::kCUDA, GetParam(), GetParam(), ours);
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double reference_error = RelativeError(reference[i], expected[i]);
    // A single element may round the other way.
    const double allowed =
        GetParam() == at::kFloat ? std::max(reference_error, 2e-7) : 1.1 * reference_error + 1e-4;
    EXPECT_LE(RelativeError(actual[i], expected[i]), allowed) << "result " << i;
    EXPECT_TRUE(at::equal(actual[i], again[i])) << "result " << i;
  }
}

TEST(StochasticAdamWCudaTest, RoundsAsTheCpuDoes) {
  if (c10::cuda::device_count() == 0) GTEST_SKIP() << "no CUDA device";
  const auto step_with = [&](AdamWTensors& tensors, const at::Tensor& step, const at::Tensor& rate,
                             const at::Tensor& scale) {
    for (std::size_t i = 0; i < tensors.weights.size(); ++i) {
      tensors.rounding_keys.push_back(static_cast<std::int64_t>(i) + 7);
    }
    AdamWStep(tensors, step, rate, scale, {.weight_decay = 0.1});
  };
  const auto expected = RunAdamW(at::kCPU, at::kBFloat16, at::kBFloat16, step_with);
  const auto actual = RunAdamW(at::kCUDA, at::kBFloat16, at::kBFloat16, step_with);
  std::int64_t different_count = 0;
  std::int64_t count = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    different_count += (actual[i].cpu() != expected[i]).sum().item<std::int64_t>();
    count += expected[i].numel();
  }
  // The last bit of a float32 decides in so few cases.
  EXPECT_LT(static_cast<double>(different_count), 1e-3 * static_cast<double>(count));
}

INSTANTIATE_TEST_SUITE_P(Dtypes, AdamWCudaTest,
                         testing::Values(at::kFloat, at::kHalf, at::kBFloat16));

class SumRowsCudaTest : public testing::TestWithParam<at::ScalarType> {};

TEST_P(SumRowsCudaTest, IsAsExactAsLibTorchAndRepeatsItsBits) {
  if (c10::cuda::device_count() == 0) GTEST_SKIP() << "no CUDA device";
  const std::vector<std::vector<std::int64_t>> shapes = {
      {16384, 320}, {4096, 10240}, {4, 1280}, {1000, 9}, {33, 2560}};
  for (const std::vector<std::int64_t>& sizes : shapes) {
    const at::Tensor matrix = at::randn(sizes).add_(0.1).to(GetParam());
    const at::Tensor on_device = matrix.to(at::kCUDA);
    const at::Tensor expected = at::sum(matrix.to(at::kDouble), 0);
    const at::Tensor actual = SumRows(on_device);
    const double reference_error = RelativeError(at::sum(on_device, 0), expected);
    EXPECT_LE(RelativeError(actual, expected), AllowedError(reference_error, GetParam()))
        << sizes[0] << " rows of " << sizes[1];
    EXPECT_TRUE(at::equal(actual, SumRows(on_device)));
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, SumRowsCudaTest,
                         testing::Values(at::kFloat, at::kHalf, at::kBFloat16));

class GegluCudaTest : public testing::TestWithParam<at::ScalarType> {};

TEST_P(GegluCudaTest, IsAsExactAsLibTorch) {
  if (c10::cuda::device_count() == 0) GTEST_SKIP() << "no CUDA device";
  for (const std::int64_t size : {1280, 9}) {
    const at::Tensor input = at::randn({3, 77, 2 * size}).to(GetParam());
    const at::Tensor grad_output = at::randn({3, 77, size}).to(GetParam());
    const auto run = [&](at::Device device, at::ScalarType dtype, auto geglu) {
      const at::Tensor leaf = input.to(device, dtype).detach().set_requires_grad(true);
      const at::Tensor output = geglu(leaf);
      output.backward(grad_output.to(device, dtype));
      return std::pair(output.detach(), leaf.grad());
    };
    const auto parts = [](const at::Tensor& leaf) {
      const auto halves = at::chunk(leaf, 2, -1);
      return at::mul(halves[0], at::gelu(halves[1]));
    };
    const auto expected = run(at::kCPU, at::kDouble, parts);
    const auto reference = run(at::kCUDA, GetParam(), parts);
    const auto actual = run(at::kCUDA, GetParam(), &Geglu);
    EXPECT_LE(RelativeError(actual.first, expected.first),
              AllowedError(RelativeError(reference.first, expected.first), GetParam()));
    EXPECT_LE(RelativeError(actual.second, expected.second),
              AllowedError(RelativeError(reference.second, expected.second), GetParam()));
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, GegluCudaTest,
                         testing::Values(at::kFloat, at::kHalf, at::kBFloat16));

}  // namespace
}  // namespace stint
