// The kernels behind stint::add_layer_norm, one pair for each device, with the signatures of the
// ops. Internal to kernels/.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <tuple>

namespace stint {

/// sum (undefined without a residual), output, mean and rstd [rows].
using AddLayerNormForward = std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor>(
    const at::Tensor& input, const std::optional<at::Tensor>& residual, const at::Tensor& weight,
    const at::Tensor& bias, double epsilon);
/// Gradients of the sum, weight and bias. `grad_sum` is what the sum's other users want.
using AddLayerNormBackward = std::tuple<at::Tensor, at::Tensor, at::Tensor>(
    const at::Tensor& grad_output, const std::optional<at::Tensor>& grad_sum, const at::Tensor& sum,
    const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& mean,
    const at::Tensor& rstd);

/// @throws c10::Error if the arguments do not go together.
void CheckAddLayerNorm(const at::Tensor& input, const std::optional<at::Tensor>& residual,
                       const at::Tensor& weight, const at::Tensor& bias);

/// LibTorch's own ops one after the other: what runs on a CPU, and where a CUDA kernel is missing.
AddLayerNormForward AddLayerNormForwardByParts;
AddLayerNormBackward AddLayerNormBackwardByParts;

}  // namespace stint
