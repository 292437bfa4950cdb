#include "kernels/cuda_ops.h"

namespace stint {

void AddCudaGroupNorm(torch::Library& /*library*/) {}

void AddCudaGeglu(torch::Library& /*library*/) {}

void AddCudaSumRows(torch::Library& /*library*/) {}

void AddCudaAdamW(torch::Library& /*library*/) {}

void AddCudaLayerNorm(torch::Library& /*library*/) {}

}  // namespace stint
