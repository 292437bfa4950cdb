// What the CUDA kernels take, from LibTorch's tensors. Internal to kernels/.
#pragma once

#include <ATen/core/Tensor.h>

#include "kernels/element_kind.h"

namespace stint {

/// @throws c10::Error naming `op` for dtypes that have no kernel.
inline ElementKind ElementKindOf(const at::Tensor& tensor, const char* op) {
  switch (tensor.scalar_type()) {
    case at::kFloat:
      return ElementKind::kFloat32;
    case at::kHalf:
      return ElementKind::kFloat16;
    case at::kBFloat16:
      return ElementKind::kBfloat16;
    default:
      TORCH_CHECK(false, op, " has no CUDA kernel for ", tensor.scalar_type());
  }
}

/// Whether 16 bytes can be read at once from the start of `tensor` on.
inline bool IsAligned(const at::Tensor& tensor) {
  return reinterpret_cast<std::uintptr_t>(tensor.const_data_ptr()) % 16 == 0;
}

}  // namespace stint
