// The CUDA kernels of our ops, as far as this build has them. Internal to kernels/.
#pragma once

#include <torch/library.h>

namespace stint {

/// Gives the ops of group_norm.cc their CUDA kernels; does nothing without CUDA.
void AddCudaGroupNorm(torch::Library& library);
/// The same for geglu.cc.
void AddCudaGeglu(torch::Library& library);
/// The same for adamw.cc.
void AddCudaAdamW(torch::Library& library);
/// The same for affine.cc.
void AddCudaSumRows(torch::Library& library);
/// The same for layer_norm.cc.
void AddCudaLayerNorm(torch::Library& library);

}  // namespace stint
