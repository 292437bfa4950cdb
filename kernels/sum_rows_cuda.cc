#include <ATen/ATen.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAStream.h>

#include <limits>

#include "kernels/cuda_arguments.h"
#include "kernels/cuda_ops.h"
#include "kernels/sum_rows_kernels.h"

namespace stint {
namespace {

constexpr std::int64_t kMaxCount = std::numeric_limits<int>::max() / 2;

at::Tensor SumRowsCuda(const at::Tensor& matrix) {
  if (matrix.numel() == 0) return at::sum(matrix, 0);
  TORCH_CHECK(matrix.size(0) <= kMaxCount && matrix.size(1) <= kMaxCount,
              "sum_rows has no CUDA kernel for sizes ", matrix.sizes());
  const RowSumShape shape = {.kind = ElementKindOf(matrix, "sum_rows"),
                             .row_count = static_cast<int>(matrix.size(0)),
                             .size = static_cast<int>(matrix.size(1)),
                             .is_aligned = IsAligned(matrix)};
  const at::Tensor sums = at::empty({matrix.size(1)}, matrix.options());
  const std::int64_t scratch_bytes = RowSumScratchBytes(shape);
  const at::Tensor scratch =
      scratch_bytes == 0 ? at::Tensor()
                         : at::empty({scratch_bytes / static_cast<std::int64_t>(sizeof(float))},
                                     matrix.options().dtype(at::kFloat));
  C10_CUDA_CHECK(LaunchSumRows(shape, matrix.const_data_ptr(), sums.mutable_data_ptr(),
                               scratch_bytes == 0 ? nullptr : scratch.mutable_data_ptr<float>(),
                               c10::cuda::getCurrentCUDAStream()));
  return sums;
}

}  // namespace

void AddCudaSumRows(torch::Library& library) { library.impl("sum_rows", &SumRowsCuda); }

}  // namespace stint
