// A linear layer whose gradient of the bias is a fast sum over rows; else as LibTorch has it. Knows
// no model.
//
// Op of the dispatcher: stint::sum_rows.
#pragma once

#include <torch/types.h>

namespace stint {

/// input * weight^T + bias. Differentiable. input [..., in size], weight [out size, in size],
/// bias [out size] -> [..., out size]
torch::Tensor Affine(const torch::Tensor& input, const torch::Tensor& weight,
                     const torch::Tensor& bias);

/// The sum of the rows of a contiguous matrix [rows, size] -> [size], in float32 or better.
/// @throws c10::Error for other tensors.
torch::Tensor SumRows(const torch::Tensor& matrix);

}  // namespace stint
