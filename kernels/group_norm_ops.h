// The kernels behind stint::group_norm_nhwc, one pair for each device, with the signatures of the
// ops. Internal to kernels/.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <tuple>

namespace stint {

/// output, mean [batch, groups], rstd [batch, groups].
using GroupNormForward = std::tuple<at::Tensor, at::Tensor, at::Tensor>(
    const at::Tensor& input, const std::optional<at::Tensor>& shift, const at::Tensor& weight,
    const at::Tensor& bias, std::int64_t group_count, double epsilon, bool has_silu);
/// Gradients of input, shift (undefined without one), weight and bias.
using GroupNormBackward = std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor>(
    const at::Tensor& grad_output, const at::Tensor& input, const std::optional<at::Tensor>& shift,
    const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& mean,
    const at::Tensor& rstd, std::int64_t group_count, bool has_silu);

/// @throws c10::Error if the arguments do not go together.
void CheckGroupNorm(const at::Tensor& input, const std::optional<at::Tensor>& shift,
                    const at::Tensor& weight, const at::Tensor& bias, std::int64_t group_count);

/// Loops in float64 sums: what runs on a CPU, and what the CUDA kernels are tested against.
GroupNormForward GroupNormForwardCpu;
GroupNormBackward GroupNormBackwardCpu;

}  // namespace stint
