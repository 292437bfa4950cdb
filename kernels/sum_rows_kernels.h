// Sums over the rows of a matrix on a CUDA device. No LibTorch here, so that nvcc need not read its
// headers. Internal to kernels/.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/element_kind.h"

namespace stint {

struct RowSumShape {
  ElementKind kind{};
  int row_count = 0;        // > 0.
  int size = 0;             // Of a row; > 0.
  bool is_aligned = false;  // The matrix begins at a multiple of 16 bytes.
};

/// Bytes of scratch memory that a call needs; 0 where few rows need none.
std::int64_t RowSumScratchBytes(const RowSumShape& shape);

/// matrix [rows, size] -> sums [size]
cudaError_t LaunchSumRows(const RowSumShape& shape, const void* matrix, void* sums, float* scratch,
                          cudaStream_t stream);

}  // namespace stint
