// The kernels behind stint::adamw_, with the signature of the op. Internal to kernels/.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace stint {

using AdamWOp = void(at::TensorList weights, at::TensorList gradients, at::TensorList exp_avgs,
                     at::TensorList exp_avg_sqs, const at::Tensor& step,
                     const at::Tensor& learning_rate, const std::optional<at::Tensor>& grad_scale,
                     at::IntArrayRef rounding_keys, double beta1, double beta2, double weight_decay,
                     double epsilon);

/// LibTorch's own: what runs on a CPU, and where a CUDA kernel is missing. Stochastic rounding only
/// on a CPU.
AdamWOp AdamWByLibTorch;

}  // namespace stint
