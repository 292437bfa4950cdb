// What LibTorch calls the dtypes of files.
#pragma once

#include <c10/core/ScalarType.h>

#include <optional>

#include "files/tensor.h"

namespace stint {

/// Of those that weights and inputs have; nothing for the others.
inline std::optional<c10::ScalarType> ScalarTypeOf(Dtype dtype) {
  switch (dtype) {
    case Dtype::kF32:
      return c10::kFloat;
    case Dtype::kF16:
      return c10::kHalf;
    case Dtype::kBf16:
      return c10::kBFloat16;
    case Dtype::kI64:
      return c10::kLong;
    default:
      return std::nullopt;
  }
}

}  // namespace stint
