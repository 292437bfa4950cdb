// The gated linear unit of a transformer's feed-forward: one op in place of four, that keeps its
// input for backward and nothing else. Knows no model.
//
// Ops of the dispatcher: stint::geglu, stint::geglu_backward.
#pragma once

#include <torch/types.h>

namespace stint {

/// value * gelu(gate), where value and gate are the halves of `input` along its last dimension.
/// Differentiable. input [..., 2 * size], contiguous -> [..., size]
/// @throws c10::Error for an odd last dimension or another layout.
torch::Tensor Geglu(const torch::Tensor& input);

}  // namespace stint
