#include <ATen/ATen.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAStream.h>

#include <algorithm>
#include <initializer_list>
#include <limits>

#include "kernels/cuda_arguments.h"
#include "kernels/cuda_ops.h"
#include "kernels/layer_norm_kernels.h"
#include "kernels/layer_norm_ops.h"

namespace stint {
namespace {

/// The shape, if there is a kernel for it.
std::optional<LayerNormShape> ShapeOf(const at::Tensor& input) {
  const std::int64_t size = input.size(-1);
  const std::int64_t row_count = size == 0 ? 0 : input.numel() / size;
  if (row_count == 0 || row_count > std::numeric_limits<int>::max() / 2 ||
      size > std::numeric_limits<int>::max() || !IsAligned(input)) {
    return std::nullopt;
  }
  const LayerNormShape shape = {.kind = ElementKindOf(input, "add_layer_norm"),
                                .row_count = static_cast<int>(row_count),
                                .size = static_cast<int>(size)};
  return HasLayerNormKernel(shape) ? std::optional(shape) : std::nullopt;
}

const void* DataOf(const std::optional<at::Tensor>& tensor) {
  return tensor ? tensor->const_data_ptr() : nullptr;
}

bool AreAligned(std::initializer_list<at::Tensor> tensors) {
  return std::all_of(tensors.begin(), tensors.end(),
                     [](const at::Tensor& tensor) { return IsAligned(tensor); });
}

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> ForwardCuda(
    const at::Tensor& input, const std::optional<at::Tensor>& residual, const at::Tensor& weight,
    const at::Tensor& bias, double epsilon) {
  const std::optional<LayerNormShape> shape = ShapeOf(input);
  if (!shape || !AreAligned({weight, bias, residual.value_or(input)})) {
    return AddLayerNormForwardByParts(input, residual, weight, bias, epsilon);
  }
  CheckAddLayerNorm(input, residual, weight, bias);
  const at::Tensor sum = residual ? at::empty_like(input) : at::Tensor();
  const at::Tensor output = at::empty_like(input);
  const at::Tensor mean = at::empty({shape->row_count}, input.options().dtype(at::kFloat));
  const at::Tensor rstd = at::empty_like(mean);
  C10_CUDA_CHECK(LaunchLayerNormForward(*shape, static_cast<float>(epsilon),
                                        {.input = input.const_data_ptr(),
                                         .residual = DataOf(residual),
                                         .weight = weight.const_data_ptr(),
                                         .bias = bias.const_data_ptr(),
                                         .sum = residual ? sum.mutable_data_ptr() : nullptr,
                                         .output = output.mutable_data_ptr(),
                                         .mean = mean.mutable_data_ptr<float>(),
                                         .rstd = rstd.mutable_data_ptr<float>()},
                                        c10::cuda::getCurrentCUDAStream()));
  return {sum, output, mean, rstd};
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> BackwardCuda(
    const at::Tensor& grad_output, const std::optional<at::Tensor>& grad_sum, const at::Tensor& sum,
    const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& mean,
    const at::Tensor& rstd) {
  const std::optional<LayerNormShape> shape = ShapeOf(sum);
  const at::Tensor grad = grad_output.contiguous();
  const auto other = grad_sum ? std::optional(grad_sum->contiguous()) : std::nullopt;
  if (!shape || !AreAligned({weight, grad, other.value_or(grad)})) {
    return AddLayerNormBackwardByParts(grad, other, sum, weight, bias, mean, rstd);
  }
  const at::Tensor grad_input = at::empty_like(sum);
  const at::Tensor grad_weight = at::empty_like(weight);
  const at::Tensor grad_bias = at::empty_like(bias);
  const at::Tensor scratch =
      at::empty({LayerNormScratchBytes(*shape) / static_cast<std::int64_t>(sizeof(float))},
                sum.options().dtype(at::kFloat));
  C10_CUDA_CHECK(LaunchLayerNormBackward(*shape,
                                         {.grad_output = grad.const_data_ptr(),
                                          .grad_sum = DataOf(other),
                                          .sum = sum.const_data_ptr(),
                                          .weight = weight.const_data_ptr(),
                                          .mean = mean.const_data_ptr<float>(),
                                          .rstd = rstd.const_data_ptr<float>(),
                                          .grad_input = grad_input.mutable_data_ptr(),
                                          .grad_weight = grad_weight.mutable_data_ptr(),
                                          .grad_bias = grad_bias.mutable_data_ptr(),
                                          .scratch = scratch.mutable_data_ptr<float>()},
                                         c10::cuda::getCurrentCUDAStream()));
  return {grad_input, grad_weight, grad_bias};
}

}  // namespace

void AddCudaLayerNorm(torch::Library& library) {
  library.impl("add_layer_norm", &ForwardCuda);
  library.impl("add_layer_norm_backward", &BackwardCuda);
}

}  // namespace stint
