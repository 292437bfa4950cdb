// GroupNorm in channels_last on a CUDA device. No LibTorch here, so that nvcc need not read its
// headers. Internal to kernels/.
//
//     forward    sums of each chunk of pixels by group -> add up the chunks -> normalise
//     backward   sums of each chunk by channel -> add up the chunks -> gradient of the input
//
// Sums are added in an order that only the shape decides: equal arguments, equal bits.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/element_kind.h"

namespace stint {

struct GroupNormShape {
  ElementKind kind{};
  int batch_count = 0;
  int pixel_count = 0;    // Of one sample.
  int channel_count = 0;  // At most kMaxGroupNormChannels.
  int group_count = 0;
  bool has_silu = false;
  bool is_aligned = false;  // All tensors begin at multiples of 16 bytes.
};

// So that three float32 sums of each fit into 48 KiB, with a little besides.
inline constexpr int kMaxGroupNormChannels = 4032;

/// Bytes of scratch memory that a call needs.
std::int64_t ForwardScratchBytes(const GroupNormShape& shape);
std::int64_t BackwardScratchBytes(const GroupNormShape& shape);

struct ForwardPointers {
  const void* input = nullptr;   // [batch, pixels, channels]
  const void* shift = nullptr;   // [batch, channels], or null.
  const void* weight = nullptr;  // [channels]
  const void* bias = nullptr;    //
  void* output = nullptr;        // Like the input.
  float* mean = nullptr;         // [batch, groups]
  float* rstd = nullptr;         //
  float* scratch = nullptr;
};

cudaError_t LaunchGroupNormForward(const GroupNormShape& shape, double epsilon,
                                   const ForwardPointers& pointers, cudaStream_t stream);

struct BackwardPointers {
  const void* grad_output = nullptr;  // [batch, pixels, channels]
  const void* input = nullptr;        //
  const void* shift = nullptr;        // [batch, channels], or null.
  const void* weight = nullptr;       // [channels]
  const void* bias = nullptr;         //
  const float* mean = nullptr;        // [batch, groups]
  const float* rstd = nullptr;        //
  void* grad_input = nullptr;         // Like the input.
  void* grad_shift = nullptr;         // Null like the shift.
  void* grad_weight = nullptr;        // [channels]
  void* grad_bias = nullptr;          //
  float* scratch = nullptr;
};

cudaError_t LaunchGroupNormBackward(const GroupNormShape& shape, const BackwardPointers& pointers,
                                    cudaStream_t stream);

}  // namespace stint
