// GroupNorm for tensors in channels_last, which LibTorch's own turns into another layout and back,
// together with what stands around it in a UNet: a shift of each channel before, a SiLU after.
// Knows no model.
//
//     input --(+ shift)--> normalised in groups --> * weight + bias --(SiLU)--> output
//
// Two ops of the dispatcher, so that a profile holds one call for each:
//     stint::group_norm_nhwc           -> output, mean, rstd
//     stint::group_norm_nhwc_backward  -> gradients of input, shift, weight and bias
// The same arguments give the same bits on one kind of device. Statistics and sums are in float32
// or better, whatever the tensors' dtype.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <optional>

namespace stint {

struct GroupNormOptions {
  std::int64_t group_count = 1;  // Divides the channels.
  double epsilon = 1e-5;
  bool has_silu = false;
};

/// Differentiable. input [batch, channels, height, width] in channels_last -> the same;
/// shift [batch, channels] or none; weight and bias [channels]; all of one dtype.
/// @throws c10::Error if shapes, dtypes or layout are others.
torch::Tensor GroupNormNhwc(const torch::Tensor& input, const std::optional<torch::Tensor>& shift,
                            const torch::Tensor& weight, const torch::Tensor& bias,
                            const GroupNormOptions& options);

}  // namespace stint
