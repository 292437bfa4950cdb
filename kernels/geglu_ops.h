// The kernels behind stint::geglu, with the signatures of the ops. Internal to kernels/.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace stint {

/// Sizes of the output.
/// @throws c10::Error if `input` is not contiguous or has no halves.
std::vector<std::int64_t> GegluSizes(const at::Tensor& input);

}  // namespace stint
