// What our ops should give, written with LibTorch's own in any dtype and layout.
#pragma once

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/group_norm.h"
#include "kernels/layer_norm.h"

namespace stint {

/// Values of one call; undefined without a shift.
struct NormArguments {
  at::Tensor input{};
  at::Tensor shift{};
  at::Tensor weight{};
  at::Tensor bias{};
  at::Tensor grad_output{};
};

/// Random ones; all elements around `offset`. The input and the gradient are in channels_last.
inline NormArguments MakeNormArguments(at::IntArrayRef sizes, bool has_shift, double offset) {
  const at::Generator generator = at::detail::createCPUGenerator(7);
  const auto random = [&](at::IntArrayRef of_sizes) {
    return at::randn(of_sizes, generator, at::TensorOptions(at::kDouble));
  };
  const auto format = at::MemoryFormat::ChannelsLast;
  return {.input = random(sizes).add_(offset).contiguous(format),
          .shift = has_shift ? random({sizes[0], sizes[1]}) : at::Tensor(),
          .weight = random({sizes[1]}),
          .bias = random({sizes[1]}),
          .grad_output = random(sizes).contiguous(format)};
}

inline NormArguments To(const NormArguments& arguments, const at::TensorOptions& options) {
  const auto to = [&](const at::Tensor& tensor) {
    return tensor.defined() ? tensor.to(options) : tensor;
  };
  return {.input = to(arguments.input),
          .shift = to(arguments.shift),
          .weight = to(arguments.weight),
          .bias = to(arguments.bias),
          .grad_output = to(arguments.grad_output)};
}

/// The output, then the gradients of input, weight, bias and, if there is one, shift.
template <typename Norm>
std::vector<at::Tensor> RunForwardAndBackward(const NormArguments& arguments, const Norm& norm) {
  const auto leaf = [](const at::Tensor& tensor) {
    return tensor.defined() ? tensor.detach().set_requires_grad(true) : tensor;
  };
  const NormArguments leaves = {.input = leaf(arguments.input),
                                .shift = leaf(arguments.shift),
                                .weight = leaf(arguments.weight),
                                .bias = leaf(arguments.bias)};
  const at::Tensor output = norm(leaves);
  output.backward(arguments.grad_output);
  std::vector<at::Tensor> results = {output.detach(), leaves.input.grad(), leaves.weight.grad(),
                                     leaves.bias.grad()};
  if (leaves.shift.defined()) results.push_back(leaves.shift.grad());
  return results;
}

inline std::vector<at::Tensor> RunOurs(const NormArguments& arguments,
                                       const GroupNormOptions& options) {
  return RunForwardAndBackward(arguments, [&](const NormArguments& leaves) {
    const auto shift = leaves.shift.defined() ? std::optional(leaves.shift) : std::nullopt;
    return GroupNormNhwc(leaves.input, shift, leaves.weight, leaves.bias, options);
  });
}

inline std::vector<at::Tensor> RunReference(const NormArguments& arguments,
                                            const GroupNormOptions& options) {
  return RunForwardAndBackward(arguments, [&](const NormArguments& leaves) {
    at::Tensor hidden = leaves.input.contiguous();
    if (leaves.shift.defined()) hidden = hidden + leaves.shift.unsqueeze(2).unsqueeze(3);
    hidden =
        at::group_norm(hidden, options.group_count, leaves.weight, leaves.bias, options.epsilon);
    return options.has_silu ? at::silu(hidden) : hidden;
  });
}

/// Values of one call; undefined without a residual.
struct LayerNormArguments {
  at::Tensor input{};
  at::Tensor residual{};
  at::Tensor weight{};
  at::Tensor bias{};
};

inline LayerNormArguments MakeLayerNormArguments(at::IntArrayRef sizes, bool has_residual) {
  const at::Generator generator = at::detail::createCPUGenerator(11);
  const auto random = [&](at::IntArrayRef of_sizes) {
    return at::randn(of_sizes, generator, at::TensorOptions(at::kDouble)).add_(0.5);
  };
  return {.input = random(sizes),
          .residual = has_residual ? random(sizes) : at::Tensor(),
          .weight = random({sizes.back()}),
          .bias = random({sizes.back()})};
}

inline LayerNormArguments To(const LayerNormArguments& arguments,
                             const at::TensorOptions& options) {
  const auto to = [&](const at::Tensor& tensor) {
    return tensor.defined() ? tensor.to(options) : tensor;
  };
  return {.input = to(arguments.input),
          .residual = to(arguments.residual),
          .weight = to(arguments.weight),
          .bias = to(arguments.bias)};
}

/// Output and sum, then the gradients of input, weight, bias and, if there is one, residual, of a
/// loss that uses both.
template <typename Norm>
std::vector<at::Tensor> RunLayerNorm(const LayerNormArguments& arguments, const Norm& norm) {
  const auto leaf = [](const at::Tensor& tensor) {
    return tensor.defined() ? tensor.detach().set_requires_grad(true) : tensor;
  };
  const LayerNormArguments leaves = {.input = leaf(arguments.input),
                                     .residual = leaf(arguments.residual),
                                     .weight = leaf(arguments.weight),
                                     .bias = leaf(arguments.bias)};
  const auto [sum, output] = norm(leaves);
  const at::Tensor gradient = arguments.input.roll(1);
  at::add(at::mul(output, gradient), at::mul(sum, arguments.input)).sum().backward();
  std::vector<at::Tensor> results = {output.detach(), sum.detach(), leaves.input.grad(),
                                     leaves.weight.grad(), leaves.bias.grad()};
  if (leaves.residual.defined()) results.push_back(leaves.residual.grad());
  return results;
}

inline std::vector<at::Tensor> RunAddLayerNorm(const LayerNormArguments& arguments) {
  return RunLayerNorm(arguments, [](const LayerNormArguments& leaves) {
    const auto residual = leaves.residual.defined() ? std::optional(leaves.residual) : std::nullopt;
    return AddLayerNorm(leaves.input, residual, leaves.weight, leaves.bias, 1e-5);
  });
}

inline std::vector<at::Tensor> RunLayerNormReference(const LayerNormArguments& arguments) {
  return RunLayerNorm(arguments, [](const LayerNormArguments& leaves) {
    const at::Tensor sum =
        leaves.residual.defined() ? at::add(leaves.input, leaves.residual) : leaves.input;
    return std::pair(sum, at::layer_norm(sum, leaves.weight.sizes(), leaves.weight, leaves.bias));
  });
}

/// |actual - expected| / |expected|, in float64 on the CPU.
inline double RelativeError(const at::Tensor& actual, const at::Tensor& expected) {
  const at::Tensor exact = expected.to(at::kCPU, at::kDouble);
  const at::Tensor difference = actual.to(at::kCPU, at::kDouble) - exact;
  return difference.norm().item<double>() / exact.norm().item<double>();
}

}  // namespace stint
