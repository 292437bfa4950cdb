// LayerNorm of a sum on a CUDA device. No LibTorch here, so that nvcc need not read its headers.
// Internal to kernels/.
//
// A warp takes a row. Sums are added in an order that only the shape decides: equal arguments,
// equal bits.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/element_kind.h"

namespace stint {

struct LayerNormShape {
  ElementKind kind{};
  int row_count = 0;  // > 0.
  int size = 0;       // Of a row.
};

/// Whether there are kernels for rows of this size. All tensors begin at multiples of 16 bytes.
bool HasLayerNormKernel(const LayerNormShape& shape);

/// Bytes of scratch memory that a backward call needs.
std::int64_t LayerNormScratchBytes(const LayerNormShape& shape);

struct LayerNormForwardPointers {
  const void* input = nullptr;     // [rows, size]
  const void* residual = nullptr;  // Like the input, or null.
  const void* weight = nullptr;    // [size]
  const void* bias = nullptr;      //
  void* sum = nullptr;             // Null like the residual.
  void* output = nullptr;          // Like the input.
  float* mean = nullptr;           // [rows]
  float* rstd = nullptr;           //
};

cudaError_t LaunchLayerNormForward(const LayerNormShape& shape, float epsilon,
                                   const LayerNormForwardPointers& pointers, cudaStream_t stream);

struct LayerNormBackwardPointers {
  const void* grad_output = nullptr;  // [rows, size]
  const void* grad_sum = nullptr;     // Like it, or null.
  const void* sum = nullptr;          // What was normalised.
  const void* weight = nullptr;       // [size]
  const float* mean = nullptr;        // [rows]
  const float* rstd = nullptr;        //
  void* grad_input = nullptr;         // [rows, size]
  void* grad_weight = nullptr;        // [size]
  void* grad_bias = nullptr;          //
  float* scratch = nullptr;
};

cudaError_t LaunchLayerNormBackward(const LayerNormShape& shape,
                                    const LayerNormBackwardPointers& pointers, cudaStream_t stream);

}  // namespace stint
