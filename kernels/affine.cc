#include "kernels/affine.h"

#include <ATen/ATen.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "kernels/cuda_ops.h"

namespace stint {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

class AffineFunction : public torch::autograd::Function<AffineFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input,
                            const at::Tensor& weight, const at::Tensor& bias) {
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    context->save_for_backward({input, weight});
    return at::linear(input, weight, bias);
  }

  static variable_list backward(AutogradContext* context, const variable_list& grad_outputs) {
    variable_list grads(3);
    if (!grad_outputs[0].defined()) return grads;
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& input = saved[0];
    const at::Tensor& weight = saved[1];
    const at::Tensor grad = grad_outputs[0].reshape({-1, weight.size(0)}).contiguous();
    if (context->needs_input_grad(0)) grads[0] = at::mm(grad, weight).view(input.sizes());
    if (context->needs_input_grad(1)) {
      grads[1] = at::mm(grad.t(), input.reshape({-1, weight.size(1)}));
    }
    if (context->needs_input_grad(2)) grads[2] = SumRows(grad);
    return grads;
  }
};

at::Tensor SumRowsCpu(const at::Tensor& matrix) { return at::sum(matrix, 0); }

}  // namespace

torch::Tensor Affine(const torch::Tensor& input, const torch::Tensor& weight,
                     const torch::Tensor& bias) {
  return AffineFunction::apply(input, weight, bias);
}

torch::Tensor SumRows(const torch::Tensor& matrix) {
  TORCH_CHECK(matrix.dim() == 2 && matrix.is_contiguous(), "sum_rows takes a contiguous matrix");
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("stint::sum_rows", "")
                             .typed<at::Tensor(const at::Tensor&)>();
  return op.call(matrix);
}

// In the same object file as SumRows, so that the linker keeps them.
TORCH_LIBRARY_FRAGMENT(stint, library) { library.def("sum_rows(Tensor matrix) -> Tensor"); }

TORCH_LIBRARY_IMPL(stint, CPU, library) { library.impl("sum_rows", &SumRowsCpu); }

TORCH_LIBRARY_IMPL(stint, CUDA, library) { AddCudaSumRows(library); }

}  // namespace stint
