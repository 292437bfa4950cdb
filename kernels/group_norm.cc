#include "kernels/group_norm.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "kernels/cuda_ops.h"
#include "kernels/group_norm_ops.h"

namespace stint {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

template <typename Signature>
auto FindOp(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

class GroupNormFunction : public torch::autograd::Function<GroupNormFunction> {
 public:
  static variable_list forward(AutogradContext* context, const at::Tensor& input,
                               const std::optional<at::Tensor>& shift, const at::Tensor& weight,
                               const at::Tensor& bias, std::int64_t group_count, double epsilon,
                               bool has_silu) {
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    static const auto op = FindOp<GroupNormForward>("stint::group_norm_nhwc");
    auto [output, mean, rstd] = op.call(input, shift, weight, bias, group_count, epsilon, has_silu);
    context->save_for_backward({input, shift.value_or(at::Tensor()), weight, bias, mean, rstd});
    context->saved_data["group_count"] = group_count;
    context->saved_data["has_silu"] = has_silu;
    context->mark_non_differentiable({mean, rstd});
    context->set_materialize_grads(false);  // Or each backward would fill two tensors with zeros.
    return {output, mean, rstd};
  }

  static variable_list backward(AutogradContext* context, const variable_list& grad_outputs) {
    if (!grad_outputs[0].defined()) return variable_list(kArgumentCount);
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& shift = saved[1];
    static const auto op = FindOp<GroupNormBackward>("stint::group_norm_nhwc_backward");
    auto [grad_input, grad_shift, grad_weight, grad_bias] =
        op.call(grad_outputs[0], saved[0], shift.defined() ? std::optional(shift) : std::nullopt,
                saved[2], saved[3], saved[4], saved[5], context->saved_data["group_count"].toInt(),
                context->saved_data["has_silu"].toBool());
    return {grad_input, grad_shift, grad_weight, grad_bias, {}, {}, {}};
  }

 private:
  static constexpr std::size_t kArgumentCount = 7;
};

std::tuple<at::Tensor, at::Tensor, at::Tensor> ForwardAutograd(
    const at::Tensor& input, const std::optional<at::Tensor>& shift, const at::Tensor& weight,
    const at::Tensor& bias, std::int64_t group_count, double epsilon, bool has_silu) {
  const variable_list outputs =
      GroupNormFunction::apply(input, shift, weight, bias, group_count, epsilon, has_silu);
  return {outputs[0], outputs[1], outputs[2]};
}

}  // namespace

void CheckGroupNorm(const at::Tensor& input, const std::optional<at::Tensor>& shift,
                    const at::Tensor& weight, const at::Tensor& bias, std::int64_t group_count) {
  TORCH_CHECK(input.dim() == 4 && input.is_contiguous(at::MemoryFormat::ChannelsLast),
              "group_norm_nhwc takes a tensor in channels_last");
  const std::int64_t channel_count = input.size(1);
  TORCH_CHECK(group_count > 0 && channel_count % group_count == 0,
              "group_norm_nhwc: ", channel_count, " channels do not make ", group_count, " groups");
  for (const at::Tensor& tensor : {weight, bias}) {
    TORCH_CHECK(tensor.dim() == 1 && tensor.size(0) == channel_count && tensor.is_contiguous() &&
                    tensor.scalar_type() == input.scalar_type(),
                "group_norm_nhwc takes a weight and a bias for each channel, of the input's dtype");
  }
  TORCH_CHECK(
      !shift || (shift->dim() == 2 && shift->size(0) == input.size(0) &&
                 shift->size(1) == channel_count && shift->is_contiguous() &&
                 shift->scalar_type() == input.scalar_type()),
      "group_norm_nhwc takes a shift for each channel of each sample, of the input's dtype");
}

torch::Tensor GroupNormNhwc(const torch::Tensor& input, const std::optional<torch::Tensor>& shift,
                            const torch::Tensor& weight, const torch::Tensor& bias,
                            const GroupNormOptions& options) {
  static const auto op = FindOp<GroupNormForward>("stint::group_norm_nhwc");
  return std::get<0>(
      op.call(input, shift, weight, bias, options.group_count, options.epsilon, options.has_silu));
}

// In the same object file as GroupNormNhwc, so that the linker keeps them.
TORCH_LIBRARY_FRAGMENT(stint, library) {
  library.def(
      "group_norm_nhwc(Tensor input, Tensor? shift, Tensor weight, Tensor bias, int group_count, "
      "float epsilon, bool has_silu) -> (Tensor, Tensor, Tensor)");
  library.def(
      "group_norm_nhwc_backward(Tensor grad_output, Tensor input, Tensor? shift, Tensor weight, "
      "Tensor bias, Tensor mean, Tensor rstd, int group_count, bool has_silu) "
      "-> (Tensor, Tensor, Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(stint, Autograd, library) { library.impl("group_norm_nhwc", &ForwardAutograd); }

TORCH_LIBRARY_IMPL(stint, CPU, library) {
  library.impl("group_norm_nhwc", &GroupNormForwardCpu);
  library.impl("group_norm_nhwc_backward", &GroupNormBackwardCpu);
}

TORCH_LIBRARY_IMPL(stint, CUDA, library) { AddCudaGroupNorm(library); }

}  // namespace stint
