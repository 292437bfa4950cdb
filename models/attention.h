// Attention by an explicit choice of kernel. LibTorch's own dispatcher would choose by shapes,
// flags and versions, and a profile would not say what runs.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <string>

namespace stint {

enum class AttentionKind : std::uint8_t {
  kFlash,      // CUDA, half precision.
  kCudnn,      // CUDA, half precision. Where training must be deterministic, kFlash in its place.
  kEfficient,  // CUDA: memory-efficient.
  kMath,       // Two matrix products and a softmax: anywhere; keeps the attention matrix.
  kCpu,        // The CPU's flash attention.
};

/// "flash", "cudnn", "efficient", "math" or "cpu".
/// @throws InputError naming `--attention` for any other word.
AttentionKind AttentionKindFromName(const std::string& name);

const char* NameOf(AttentionKind kind);

/// What is fastest for `dtype` on `device`, which is in use: of cuDNN's and LibTorch's flash
/// attention the one that LibTorch ranks first on this GPU. On a CPU in half precision the plain
/// one: the threads of LibTorch's kernel ask for memory in an order that differs from run to run.
AttentionKind FastestAttention(torch::Device device, torch::ScalarType dtype);

/// @throws InputError naming `--attention` if `device` has no such kernel for `dtype`.
void CheckAttention(AttentionKind kind, torch::Device device, torch::ScalarType dtype);

struct AttentionShape {
  std::int64_t head_count = 1;
  bool is_causal = false;           // Queries see no later keys; as many queries as keys.
  bool has_float32_scores = false;  // Of kMath, which else has them in the dtype of its arguments;
                                    // the other kernels always have them.
};

/// softmax(query * key^T / sqrt(head size)) * value.
/// query [batch, query_count, channels], key and value [batch, key_count, channels]
/// -> [batch, query_count, channels]; heads lie side by side in the channels.
torch::Tensor Attend(AttentionKind kind, const torch::Tensor& query, const torch::Tensor& key,
                     const torch::Tensor& value, const AttentionShape& shape);

}  // namespace stint
