// AdamW on a CUDA device. No LibTorch here, so that nvcc need not read its headers. Internal to
// kernels/.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/element_kind.h"

namespace stint {

inline constexpr int kMaxAdamWTensors = 48;  // Of a launch: what its arguments have room for.

/// Elements of a block's share of a tensor.
inline constexpr std::int64_t kAdamWChunk = 4096;

/// Parameters of one launch. All begin at multiples of 16 bytes.
struct AdamWArguments {
  void* weights[kMaxAdamWTensors] = {};
  void* gradients[kMaxAdamWTensors] = {};
  void* exp_avgs[kMaxAdamWTensors] = {};
  void* exp_avg_sqs[kMaxAdamWTensors] = {};
  std::int64_t element_counts[kMaxAdamWTensors] = {};
  std::uint32_t rounding_keys[kMaxAdamWTensors] = {};  // Of bfloat16, if is_rounded_at_random.
  int first_blocks[kMaxAdamWTensors + 1] = {};         // Of each tensor; the last one counts all.
  int tensor_count = 0;
  const float* step = nullptr;
  const float* learning_rate = nullptr;
  const float* grad_scale = nullptr;  // May be null.
  float log_beta1 = 0;
  float log_beta2 = 0;
  float beta1 = 0;
  float beta2 = 0;
  float new_share1 = 0;  // 1 - beta1, with all its digits.
  float new_share2 = 0;  //
  float weight_decay = 0;
  float epsilon = 0;
  bool is_rounded_at_random = false;  // See kernels/stochastic_rounding.h.
};

cudaError_t LaunchAdamW(ElementKind kind, const AdamWArguments& arguments, cudaStream_t stream);

}  // namespace stint
