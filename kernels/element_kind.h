// The dtypes that our CUDA kernels know. No LibTorch, no CUDA. Internal to kernels/.
#pragma once

#include <cstdint>

namespace stint {

enum class ElementKind : std::uint8_t { kFloat32, kFloat16, kBfloat16 };

}  // namespace stint
