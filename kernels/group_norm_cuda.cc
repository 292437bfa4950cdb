#include <ATen/ATen.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAStream.h>

#include "kernels/cuda_arguments.h"
#include "kernels/cuda_ops.h"
#include "kernels/group_norm_kernels.h"
#include "kernels/group_norm_ops.h"

namespace stint {
namespace {

constexpr std::int64_t kMaxCount = std::numeric_limits<int>::max();

GroupNormShape ShapeOf(const at::Tensor& input, std::int64_t group_count, bool has_silu,
                       bool is_aligned) {
  const std::int64_t pixel_count = input.size(2) * input.size(3);
  TORCH_CHECK(input.size(1) <= kMaxGroupNormChannels && pixel_count <= kMaxCount &&
                  input.size(0) <= kMaxCount / (2 * kMaxGroupNormChannels),
              "group_norm_nhwc has no CUDA kernel for sizes ", input.sizes());
  return {.kind = ElementKindOf(input, "group_norm_nhwc"),
          .batch_count = static_cast<int>(input.size(0)),
          .pixel_count = static_cast<int>(pixel_count),
          .channel_count = static_cast<int>(input.size(1)),
          .group_count = static_cast<int>(group_count),
          .has_silu = has_silu,
          .is_aligned = is_aligned};
}

const void* DataOf(const std::optional<at::Tensor>& tensor) {
  return tensor ? tensor->const_data_ptr() : nullptr;
}

at::Tensor MakeScratch(const at::Tensor& like, std::int64_t size_bytes) {
  return at::empty({size_bytes / static_cast<std::int64_t>(sizeof(float))},
                   like.options().dtype(at::kFloat));
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> ForwardCuda(
    const at::Tensor& input, const std::optional<at::Tensor>& shift, const at::Tensor& weight,
    const at::Tensor& bias, std::int64_t group_count, double epsilon, bool has_silu) {
  CheckGroupNorm(input, shift, weight, bias, group_count);
  const at::Tensor output = at::empty_like(input);
  const auto options = input.options().dtype(at::kFloat);
  const at::Tensor mean = at::empty({input.size(0), group_count}, options);
  const at::Tensor rstd = at::empty_like(mean);
  if (input.numel() == 0) return {output, mean.zero_(), rstd.zero_()};
  const GroupNormShape shape =
      ShapeOf(input, group_count, has_silu, IsAligned(input) && IsAligned(output));
  const at::Tensor scratch = MakeScratch(input, ForwardScratchBytes(shape));
  C10_CUDA_CHECK(LaunchGroupNormForward(shape, epsilon,
                                        {.input = input.const_data_ptr(),
                                         .shift = DataOf(shift),
                                         .weight = weight.const_data_ptr(),
                                         .bias = bias.const_data_ptr(),
                                         .output = output.mutable_data_ptr(),
                                         .mean = mean.mutable_data_ptr<float>(),
                                         .rstd = rstd.mutable_data_ptr<float>(),
                                         .scratch = scratch.mutable_data_ptr<float>()},
                                        c10::cuda::getCurrentCUDAStream()));
  return {output, mean, rstd};
}

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> BackwardCuda(
    const at::Tensor& grad_output, const at::Tensor& input, const std::optional<at::Tensor>& shift,
    const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& mean,
    const at::Tensor& rstd, std::int64_t group_count, bool has_silu) {
  CheckGroupNorm(input, shift, weight, bias, group_count);
  const at::Tensor grad = grad_output.contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor grad_input = at::empty_like(input);
  const at::Tensor grad_shift = shift ? at::empty_like(*shift) : at::Tensor();
  const at::Tensor grad_weight = at::empty_like(weight);
  const at::Tensor grad_bias = at::empty_like(bias);
  if (input.numel() == 0) {
    if (shift) grad_shift.zero_();
    return {grad_input, grad_shift, grad_weight.zero_(), grad_bias.zero_()};
  }
  const bool is_aligned = IsAligned(grad) && IsAligned(input) && IsAligned(grad_input);
  const GroupNormShape shape = ShapeOf(input, group_count, has_silu, is_aligned);
  const at::Tensor scratch = MakeScratch(input, BackwardScratchBytes(shape));
  C10_CUDA_CHECK(
      LaunchGroupNormBackward(shape,
                              {.grad_output = grad.const_data_ptr(),
                               .input = input.const_data_ptr(),
                               .shift = DataOf(shift),
                               .weight = weight.const_data_ptr(),
                               .bias = bias.const_data_ptr(),
                               .mean = mean.const_data_ptr<float>(),
                               .rstd = rstd.const_data_ptr<float>(),
                               .grad_input = grad_input.mutable_data_ptr(),
                               .grad_shift = shift ? grad_shift.mutable_data_ptr() : nullptr,
                               .grad_weight = grad_weight.mutable_data_ptr(),
                               .grad_bias = grad_bias.mutable_data_ptr(),
                               .scratch = scratch.mutable_data_ptr<float>()},
                              c10::cuda::getCurrentCUDAStream()));
  return {grad_input, grad_shift, grad_weight, grad_bias};
}

}  // namespace

void AddCudaGroupNorm(torch::Library& library) {
  library.impl("group_norm_nhwc", &ForwardCuda);
  library.impl("group_norm_nhwc_backward", &BackwardCuda);
}

}  // namespace stint
