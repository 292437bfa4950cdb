// What a weight is before anything was learned.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <string>

namespace stint {

/// Fills a contiguous floating CPU tensor as PyTorch starts its modules, but biases with 0, and
/// adapters as PEFT's "gaussian" starts them: the same numbers for the same seed and name, in any
/// dtype. A matrix or kernel of n inputs is uniform in +-1 / sqrt(n), so what flows through any
/// number of layers stays finite, in float16, too.
void FillInitialWeight(const std::string& name, std::uint64_t seed, const torch::Tensor& value);

}  // namespace stint
