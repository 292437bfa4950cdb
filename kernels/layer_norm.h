// LayerNorm of a sum, as a transformer has it between its layers: the sum is kept for the next one,
// and its gradient is added up where it is made. Knows no model.
//
//     input --(+ residual)--> sum --> normalised by row --> * weight + bias --> output
//
// Ops of the dispatcher: stint::add_layer_norm, stint::add_layer_norm_backward.
#pragma once

#include <torch/types.h>

#include <optional>
#include <utility>

namespace stint {

/// Differentiable. input and residual [..., size], contiguous; weight and bias [size]; all of one
/// dtype -> sum (`input` itself where there is no residual) and output, like the input.
/// @throws c10::Error if shapes, dtypes or layout are others.
std::pair<torch::Tensor, torch::Tensor> AddLayerNorm(const torch::Tensor& input,
                                                     const std::optional<torch::Tensor>& residual,
                                                     const torch::Tensor& weight,
                                                     const torch::Tensor& bias, double epsilon);

}  // namespace stint
