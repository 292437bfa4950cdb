#include "kernels/geglu.h"

#include <ATen/ATen.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "kernels/cuda_ops.h"
#include "kernels/geglu_ops.h"

namespace stint {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using GegluForward = at::Tensor(const at::Tensor& input);
using GegluBackward = at::Tensor(const at::Tensor& grad_output, const at::Tensor& input);

const auto& ForwardOp() {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("stint::geglu", "").typed<GegluForward>();
  return op;
}

const auto& BackwardOp() {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("stint::geglu_backward", "")
                             .typed<GegluBackward>();
  return op;
}

class GegluFunction : public torch::autograd::Function<GegluFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input) {
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    context->save_for_backward({input});
    return ForwardOp().call(input);
  }
  static variable_list backward(AutogradContext* context, const variable_list& grad_outputs) {
    if (!grad_outputs[0].defined()) return {{}};
    return {BackwardOp().call(grad_outputs[0], context->get_saved_variables()[0])};
  }
};

at::Tensor ForwardAutograd(const at::Tensor& input) { return GegluFunction::apply(input); }

/// What runs on a CPU: LibTorch's own ops.
at::Tensor ForwardCpu(const at::Tensor& input) {
  GegluSizes(input);
  const auto halves = at::chunk(input, 2, -1);
  return at::mul(halves[0], at::gelu(halves[1]));
}

at::Tensor BackwardCpu(const at::Tensor& grad_output, const at::Tensor& input) {
  const auto halves = at::chunk(input, 2, -1);
  const at::Tensor grad_value = at::mul(grad_output, at::gelu(halves[1]));
  const at::Tensor grad_gate =
      at::gelu_backward(at::mul(grad_output, halves[0]), halves[1].contiguous());
  return at::cat({grad_value, grad_gate}, -1);
}

}  // namespace

std::vector<std::int64_t> GegluSizes(const at::Tensor& input) {
  TORCH_CHECK(input.dim() > 0 && input.size(-1) % 2 == 0 && input.is_contiguous(),
              "geglu takes a contiguous tensor that has halves");
  std::vector<std::int64_t> sizes = input.sizes().vec();
  sizes.back() /= 2;
  return sizes;
}

torch::Tensor Geglu(const torch::Tensor& input) { return ForwardOp().call(input); }

// In the same object file as Geglu, so that the linker keeps them.
TORCH_LIBRARY_FRAGMENT(stint, library) {
  library.def("geglu(Tensor input) -> Tensor");
  library.def("geglu_backward(Tensor grad_output, Tensor input) -> Tensor");
}

TORCH_LIBRARY_IMPL(stint, Autograd, library) { library.impl("geglu", &ForwardAutograd); }

TORCH_LIBRARY_IMPL(stint, CPU, library) {
  library.impl("geglu", &ForwardCpu);
  library.impl("geglu_backward", &BackwardCpu);
}

TORCH_LIBRARY_IMPL(stint, CUDA, library) { AddCudaGeglu(library); }

}  // namespace stint
