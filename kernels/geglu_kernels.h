// The gated linear unit on a CUDA device. No LibTorch here, so that nvcc need not read its headers.
// Internal to kernels/.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/element_kind.h"

namespace stint {

struct GegluShape {
  ElementKind kind{};
  std::int64_t row_count = 0;
  std::int64_t size = 0;    // Of an output's row; an input's is twice as long.
  bool is_aligned = false;  // All tensors begin at multiples of 16 bytes.
};

cudaError_t LaunchGegluForward(const GegluShape& shape, const void* input, void* output,
                               cudaStream_t stream);
cudaError_t LaunchGegluBackward(const GegluShape& shape, const void* grad_output, const void* input,
                                void* grad_input, cudaStream_t stream);

}  // namespace stint
