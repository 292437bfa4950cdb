#include <ATen/ATen.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAStream.h>

#include "kernels/cuda_arguments.h"
#include "kernels/cuda_ops.h"
#include "kernels/geglu_kernels.h"
#include "kernels/geglu_ops.h"

namespace stint {
namespace {

GegluShape ShapeOf(const at::Tensor& input, bool is_aligned) {
  const std::int64_t size = input.size(-1) / 2;
  return {.kind = ElementKindOf(input, "geglu"),
          .row_count = size == 0 ? 0 : input.numel() / (2 * size),
          .size = size,
          .is_aligned = is_aligned};
}

at::Tensor ForwardCuda(const at::Tensor& input) {
  const at::Tensor output = at::empty(GegluSizes(input), input.options());
  C10_CUDA_CHECK(LaunchGegluForward(ShapeOf(input, IsAligned(input) && IsAligned(output)),
                                    input.const_data_ptr(), output.mutable_data_ptr(),
                                    c10::cuda::getCurrentCUDAStream()));
  return output;
}

at::Tensor BackwardCuda(const at::Tensor& grad_output, const at::Tensor& input) {
  const at::Tensor grad = grad_output.contiguous();
  const at::Tensor grad_input = at::empty_like(input);
  const bool is_aligned = IsAligned(grad) && IsAligned(input) && IsAligned(grad_input);
  C10_CUDA_CHECK(LaunchGegluBackward(ShapeOf(input, is_aligned), grad.const_data_ptr(),
                                     input.const_data_ptr(), grad_input.mutable_data_ptr(),
                                     c10::cuda::getCurrentCUDAStream()));
  return grad_input;
}

}  // namespace

void AddCudaGeglu(torch::Library& library) {
  library.impl("geglu", &ForwardCuda);
  library.impl("geglu_backward", &BackwardCuda);
}

}  // namespace stint
