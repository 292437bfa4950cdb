// Adds up what blocks left behind: the last kernel of sums over many rows. Internal to kernels/.
#pragma once

#include "kernels/device_numbers.cuh"

namespace stint {

inline constexpr int kPartialColumns = 32;  // Of a block.
inline constexpr int kPartialLanes = 32;    // Threads that share a column.

template <typename Element>
__global__ void __launch_bounds__(kPartialColumns* kPartialLanes)
    AddPartialRowsKernel(const float* rows, int row_count, int size, int split, Element* first,
                         Element* second) {
  __shared__ float shared[kPartialLanes][kPartialColumns + 1];  // Read across: no bank twice.
  const int column = static_cast<int>(threadIdx.x) % kPartialColumns;
  const int lane = static_cast<int>(threadIdx.x) / kPartialColumns;
  const int k = static_cast<int>(blockIdx.x) * kPartialColumns + column;
  float sum = 0;
  if (k < size) {
    for (int row = lane; row < row_count; row += kPartialLanes) {
      sum += rows[static_cast<long long>(row) * size + k];
    }
  }
  shared[lane][column] = sum;
  __syncthreads();
  // Now a warp for each column.
  const int own = static_cast<int>(blockIdx.x) * kPartialColumns + lane;
  const float total = SumOfWarp(shared[column][lane]);
  if (column != 0 || own >= size) return;
  Element* const target = own < split ? first + own : second + (own - split);
  *target = FromFloat<Element>(total);
}

/// The sums of the columns of rows [row_count, size]: the first `split` to `first`, the others to
/// `second`. In an order that only the shape decides.
template <typename Element>
void AddPartialRows(const float* rows, int row_count, int size, int split, Element* first,
                    Element* second, cudaStream_t stream) {
  const auto block_count = static_cast<unsigned>((size + kPartialColumns - 1) / kPartialColumns);
  AddPartialRowsKernel<Element><<<block_count, kPartialColumns * kPartialLanes, 0, stream>>>(
      rows, row_count, size, split, first, second);
}

}  // namespace stint
