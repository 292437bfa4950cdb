#include "kernels/layer_norm.h"

#include <ATen/ATen.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "kernels/cuda_ops.h"
#include "kernels/layer_norm_ops.h"

namespace stint {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

const auto& ForwardOp() {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("stint::add_layer_norm", "")
                             .typed<AddLayerNormForward>();
  return op;
}

const auto& BackwardOp() {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("stint::add_layer_norm_backward", "")
                             .typed<AddLayerNormBackward>();
  return op;
}

std::optional<at::Tensor> ToOptional(const at::Tensor& tensor) {
  return tensor.defined() ? std::optional(tensor) : std::nullopt;
}

/// Gives output, mean and rstd, and the sum in front of them if there is a residual.
class AddLayerNormFunction : public torch::autograd::Function<AddLayerNormFunction> {
 public:
  static variable_list forward(AutogradContext* context, const at::Tensor& input,
                               const std::optional<at::Tensor>& residual, const at::Tensor& weight,
                               const at::Tensor& bias, double epsilon) {
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    auto [sum, output, mean, rstd] = ForwardOp().call(input, residual, weight, bias, epsilon);
    context->save_for_backward({sum.defined() ? sum : input, weight, bias, mean, rstd});
    context->mark_non_differentiable({mean, rstd});
    context->set_materialize_grads(false);
    if (!sum.defined()) return {output, mean, rstd};
    return {sum, output, mean, rstd};
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const variable_list saved = context->get_saved_variables();
    const bool has_residual = grads.size() == 4;
    const at::Tensor& grad_output = grads[has_residual ? 1 : 0];
    const at::Tensor grad_sum = has_residual ? grads[0] : at::Tensor();
    if (!grad_output.defined()) return {grad_sum, grad_sum, {}, {}, {}};
    auto [grad_input, grad_weight, grad_bias] = BackwardOp().call(
        grad_output, ToOptional(grad_sum), saved[0], saved[1], saved[2], saved[3], saved[4]);
    return {grad_input, has_residual ? grad_input : at::Tensor(), grad_weight, grad_bias, {}};
  }
};

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> ForwardAutograd(
    const at::Tensor& input, const std::optional<at::Tensor>& residual, const at::Tensor& weight,
    const at::Tensor& bias, double epsilon) {
  variable_list outputs = AddLayerNormFunction::apply(input, residual, weight, bias, epsilon);
  if (!residual) outputs.insert(outputs.begin(), at::Tensor());
  return {outputs[0], outputs[1], outputs[2], outputs[3]};
}

}  // namespace

void CheckAddLayerNorm(const at::Tensor& input, const std::optional<at::Tensor>& residual,
                       const at::Tensor& weight, const at::Tensor& bias) {
  TORCH_CHECK(input.dim() > 0 && input.is_contiguous(), "add_layer_norm takes a contiguous tensor");
  TORCH_CHECK(!residual || (residual->sizes() == input.sizes() && residual->is_contiguous() &&
                            residual->scalar_type() == input.scalar_type()),
              "add_layer_norm takes a residual like its input");
  for (const at::Tensor& tensor : {weight, bias}) {
    TORCH_CHECK(tensor.dim() == 1 && tensor.size(0) == input.size(-1) && tensor.is_contiguous() &&
                    tensor.scalar_type() == input.scalar_type(),
                "add_layer_norm takes a weight and a bias for each column, of the input's dtype");
  }
}

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> AddLayerNormForwardByParts(
    const at::Tensor& input, const std::optional<at::Tensor>& residual, const at::Tensor& weight,
    const at::Tensor& bias, double epsilon) {
  CheckAddLayerNorm(input, residual, weight, bias);
  const at::Tensor sum = residual ? at::add(input, *residual) : at::Tensor();
  auto [output, mean, rstd] =
      at::native_layer_norm(residual ? sum : input, weight.sizes(), weight, bias, epsilon);
  return {sum, output, mean, rstd};
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> AddLayerNormBackwardByParts(
    const at::Tensor& grad_output, const std::optional<at::Tensor>& grad_sum, const at::Tensor& sum,
    const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& mean,
    const at::Tensor& rstd) {
  auto [grad_input, grad_weight, grad_bias] = at::native_layer_norm_backward(
      grad_output.contiguous(), sum, weight.sizes(), mean, rstd, weight, bias, {true, true, true});
  if (grad_sum) grad_input = at::add(grad_input, *grad_sum);
  return {grad_input, grad_weight, grad_bias};
}

std::pair<torch::Tensor, torch::Tensor> AddLayerNorm(const torch::Tensor& input,
                                                     const std::optional<torch::Tensor>& residual,
                                                     const torch::Tensor& weight,
                                                     const torch::Tensor& bias, double epsilon) {
  auto [sum, output, mean, rstd] = ForwardOp().call(input, residual, weight, bias, epsilon);
  return {sum.defined() ? sum : input, output};
}

// In the same object file as AddLayerNorm, so that the linker keeps them.
TORCH_LIBRARY_FRAGMENT(stint, library) {
  library.def(
      "add_layer_norm(Tensor input, Tensor? residual, Tensor weight, Tensor bias, float epsilon) "
      "-> (Tensor, Tensor, Tensor, Tensor)");
  library.def(
      "add_layer_norm_backward(Tensor grad_output, Tensor? grad_sum, Tensor sum, Tensor weight, "
      "Tensor bias, Tensor mean, Tensor rstd) -> (Tensor, Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(stint, Autograd, library) { library.impl("add_layer_norm", &ForwardAutograd); }

TORCH_LIBRARY_IMPL(stint, CPU, library) {
  library.impl("add_layer_norm", &AddLayerNormForwardByParts);
  library.impl("add_layer_norm_backward", &AddLayerNormBackwardByParts);
}

TORCH_LIBRARY_IMPL(stint, CUDA, library) { AddCudaLayerNorm(library); }

}  // namespace stint
