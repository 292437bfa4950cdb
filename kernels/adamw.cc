#include "kernels/adamw.h"

#include <ATen/ATen.h>
#include <torch/library.h>

#include "kernels/adamw_ops.h"
#include "kernels/cuda_ops.h"

namespace stint {

void AdamWByLibTorch(at::TensorList weights, at::TensorList gradients, at::TensorList exp_avgs,
                     at::TensorList exp_avg_sqs, const at::Tensor& step,
                     const at::Tensor& learning_rate, const std::optional<at::Tensor>& grad_scale,
                     double beta1, double beta2, double weight_decay, double epsilon) {
  const std::vector<at::Tensor> steps(weights.size(), step);
  at::_fused_adamw_(weights, gradients, exp_avgs, exp_avg_sqs, /*max_exp_avg_sqs=*/{}, steps,
                    learning_rate, beta1, beta2, weight_decay, epsilon, /*amsgrad=*/false,
                    /*maximize=*/false, grad_scale);
}

void AdamWStep(const AdamWTensors& tensors, const torch::Tensor& step,
               const torch::Tensor& learning_rate, const std::optional<torch::Tensor>& grad_scale,
               const AdamWOptions& options) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("stint::adamw_", "").typed<AdamWOp>();
  op.call(tensors.weights, tensors.gradients, tensors.exp_avgs, tensors.exp_avg_sqs, step,
          learning_rate, grad_scale, options.beta1, options.beta2, options.weight_decay,
          options.epsilon);
}

// In the same object file as AdamWStep, so that the linker keeps them.
TORCH_LIBRARY_FRAGMENT(stint, library) {
  library.def(
      "adamw_(Tensor(a!)[] weights, Tensor(b!)[] gradients, Tensor(c!)[] exp_avgs, "
      "Tensor(d!)[] exp_avg_sqs, Tensor step, Tensor learning_rate, Tensor? grad_scale, "
      "float beta1, float beta2, float weight_decay, float epsilon) -> ()");
}

TORCH_LIBRARY_IMPL(stint, CPU, library) { library.impl("adamw_", &AdamWByLibTorch); }

TORCH_LIBRARY_IMPL(stint, CUDA, library) { AddCudaAdamW(library); }

}  // namespace stint
