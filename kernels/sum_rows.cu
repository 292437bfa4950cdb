#include <algorithm>

#include "kernels/partial_rows.cuh"
#include "kernels/sum_rows_kernels.h"

namespace stint {
namespace {

constexpr int kPacks = 32;  // Side by side: of a warp.
constexpr int kRows = 8;    // At a time: warps of a block.
constexpr int kUnrolled = 4;
constexpr int kBlockTarget = 528;  // Of a launch: what fills a large card.

/// A block takes a chunk of the rows and the columns of one warp.
struct Tiling {
  int column_blocks = 0;
  int chunk_count = 0;
  int chunk_rows = 0;
};

int PackWidth(const RowSumShape& shape) {
  const int width = shape.kind == ElementKind::kFloat32 ? 4 : 8;
  return shape.is_aligned && shape.size % width == 0 ? width : 1;
}

Tiling TilingOf(const RowSumShape& shape) {
  const int columns = kPacks * PackWidth(shape);
  const int column_blocks = (shape.size + columns - 1) / columns;
  const int turn_rows = kUnrolled * kRows;
  const int max_chunks = (shape.row_count + turn_rows - 1) / turn_rows;
  const int chunk_count = std::min(max_chunks, std::max(1, kBlockTarget / column_blocks));
  const int chunk_rows = (shape.row_count + chunk_count - 1) / chunk_count;
  return {.column_blocks = column_blocks,
          .chunk_count = (shape.row_count + chunk_rows - 1) / chunk_rows,
          .chunk_rows = chunk_rows};
}

/// Sums of each chunk: out [chunks, size].
template <typename Element, int kWidth, typename Sum>
__global__ void __launch_bounds__(kPacks* kRows)
    SumChunks(int row_count, int size, int chunk_rows, const Element* matrix, Sum* out) {
  __shared__ float shared[kRows][kPacks * kWidth];
  const int lane = static_cast<int>(threadIdx.x) % kPacks;
  const int warp = static_cast<int>(threadIdx.x) / kPacks;
  const int first_column = static_cast<int>(blockIdx.x) * kPacks * kWidth;
  const int column = first_column + lane * kWidth;
  const int begin = static_cast<int>(blockIdx.y) * chunk_rows;
  const int end = min(begin + chunk_rows, row_count);
  float sums[kWidth] = {};
  if (column < size) {
#pragma unroll kUnrolled
    for (int row = begin + warp; row < end; row += kRows) {
      const auto pack = LoadPack<kWidth>(matrix + static_cast<long long>(row) * size + column);
#pragma unroll
      for (int i = 0; i < kWidth; ++i) sums[i] += ToFloat(pack.values[i]);
    }
  }
#pragma unroll
  for (int i = 0; i < kWidth; ++i) shared[warp][lane * kWidth + i] = sums[i];
  __syncthreads();
  for (int k = static_cast<int>(threadIdx.x); k < kPacks * kWidth && first_column + k < size;
       k += kPacks * kRows) {
    float sum = 0;
    for (int row = 0; row < kRows; ++row) sum += shared[row][k];
    out[static_cast<long long>(blockIdx.y) * size + first_column + k] = FromFloat<Sum>(sum);
  }
}

template <typename Element, int kWidth>
cudaError_t Sum(const RowSumShape& shape, const void* matrix, void* sums, float* scratch,
                cudaStream_t stream) {
  const Tiling tiling = TilingOf(shape);
  const dim3 grid(static_cast<unsigned>(tiling.column_blocks),
                  static_cast<unsigned>(tiling.chunk_count));
  const auto* const elements = static_cast<const Element*>(matrix);
  if (tiling.chunk_count == 1) {
    SumChunks<Element, kWidth, Element><<<grid, kPacks * kRows, 0, stream>>>(
        shape.row_count, shape.size, tiling.chunk_rows, elements, static_cast<Element*>(sums));
    return cudaGetLastError();
  }
  SumChunks<Element, kWidth, float><<<grid, kPacks * kRows, 0, stream>>>(
      shape.row_count, shape.size, tiling.chunk_rows, elements, scratch);
  AddPartialRows<Element>(scratch, tiling.chunk_count, shape.size, shape.size,
                          static_cast<Element*>(sums), nullptr, stream);
  return cudaGetLastError();
}

template <typename Element>
cudaError_t SumOfKind(const RowSumShape& shape, const void* matrix, void* sums, float* scratch,
                      cudaStream_t stream) {
  return PackWidth(shape) > 1
             ? Sum<Element, kPackCount<Element>>(shape, matrix, sums, scratch, stream)
             : Sum<Element, 1>(shape, matrix, sums, scratch, stream);
}

}  // namespace

std::int64_t RowSumScratchBytes(const RowSumShape& shape) {
  const std::int64_t chunk_count = TilingOf(shape).chunk_count;
  if (chunk_count == 1) return 0;
  return static_cast<std::int64_t>(sizeof(float)) * chunk_count * shape.size;
}

cudaError_t LaunchSumRows(const RowSumShape& shape, const void* matrix, void* sums, float* scratch,
                          cudaStream_t stream) {
  switch (shape.kind) {
    case ElementKind::kFloat32:
      return SumOfKind<float>(shape, matrix, sums, scratch, stream);
    case ElementKind::kFloat16:
      return SumOfKind<__half>(shape, matrix, sums, scratch, stream);
    case ElementKind::kBfloat16:
      return SumOfKind<__nv_bfloat16>(shape, matrix, sums, scratch, stream);
  }
  return cudaErrorInvalidValue;
}

}  // namespace stint
