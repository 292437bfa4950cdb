#include "kernels/adamw.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <bit>
#include <cstdint>

#include "kernels/adamw_ops.h"
#include "kernels/cuda_ops.h"
#include "kernels/stochastic_rounding.h"

namespace stint {
namespace {

std::uint32_t BitsOf(float value) { return std::bit_cast<std::uint32_t>(value); }

/// Rounds `exact` into `rounded`, which has the same strides and fills its storage. Of each
/// element's random bits those from `shift` on.
void RoundInto(const at::Tensor& rounded, const at::Tensor& exact, std::uint32_t key, int shift) {
  const auto* const from = exact.const_data_ptr<float>();
  auto* const to = reinterpret_cast<std::uint16_t*>(rounded.mutable_data_ptr<at::BFloat16>());
  constexpr std::int64_t kGrain = 1 << 14;
  at::parallel_for(0, rounded.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      to[i] = RoundToBfloat16(BitsOf(from[i]), RoundingBits(key, i) >> shift);
    }
  });
}

/// A step in float32, whose results are rounded.
void AdamWRounded(at::TensorList weights, at::TensorList gradients, at::TensorList exp_avgs,
                  at::TensorList exp_avg_sqs, const at::Tensor& step,
                  const at::Tensor& learning_rate, const std::optional<at::Tensor>& grad_scale,
                  at::IntArrayRef rounding_keys, double beta1, double beta2, double weight_decay,
                  double epsilon) {
  TORCH_CHECK(rounding_keys.size() == weights.size(), "adamw_ takes a key for each weight or none");
  for (std::size_t i = 0; i < weights.size(); ++i) {
    TORCH_CHECK(weights[i].scalar_type() == at::kBFloat16 && weights[i].device().is_cpu() &&
                    weights[i].is_non_overlapping_and_dense(),
                "adamw_ rounds only dense bfloat16 tensors stochastically");
    const at::Tensor weight = weights[i].to(at::kFloat);
    const at::Tensor gradient = gradients[i].to(at::kFloat);
    const at::Tensor exp_avg = exp_avgs[i].to(at::kFloat);
    const at::Tensor exp_avg_sq = exp_avg_sqs[i].to(at::kFloat);
    at::_fused_adamw_({weight}, {gradient}, {exp_avg}, {exp_avg_sq}, /*max_exp_avg_sqs=*/{}, {step},
                      learning_rate, beta1, beta2, weight_decay, epsilon, /*amsgrad=*/false,
                      /*maximize=*/false, grad_scale);
    if (grad_scale) gradients[i].copy_(gradient);
    const std::uint32_t key =
        RoundingKey(static_cast<std::uint32_t>(rounding_keys[i]), BitsOf(step.item<float>()));
    RoundInto(weights[i], weight, key, 0);
    RoundInto(exp_avgs[i], exp_avg, key, 16);
    RoundInto(exp_avg_sqs[i], exp_avg_sq, MixBits(key), 0);
  }
}

}  // namespace

void AdamWByLibTorch(at::TensorList weights, at::TensorList gradients, at::TensorList exp_avgs,
                     at::TensorList exp_avg_sqs, const at::Tensor& step,
                     const at::Tensor& learning_rate, const std::optional<at::Tensor>& grad_scale,
                     at::IntArrayRef rounding_keys, double beta1, double beta2, double weight_decay,
                     double epsilon) {
  if (!rounding_keys.empty()) {
    AdamWRounded(weights, gradients, exp_avgs, exp_avg_sqs, step, learning_rate, grad_scale,
                 rounding_keys, beta1, beta2, weight_decay, epsilon);
    return;
  }
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
          learning_rate, grad_scale, tensors.rounding_keys, options.beta1, options.beta2,
          options.weight_decay, options.epsilon);
}

// In the same object file as AdamWStep, so that the linker keeps them.
TORCH_LIBRARY_FRAGMENT(stint, library) {
  library.def(
      "adamw_(Tensor(a!)[] weights, Tensor(b!)[] gradients, Tensor(c!)[] exp_avgs, "
      "Tensor(d!)[] exp_avg_sqs, Tensor step, Tensor learning_rate, Tensor? grad_scale, "
      "int[] rounding_keys, "
      "float beta1, float beta2, float weight_decay, float epsilon) -> ()");
}

TORCH_LIBRARY_IMPL(stint, CPU, library) { library.impl("adamw_", &AdamWByLibTorch); }

TORCH_LIBRARY_IMPL(stint, CUDA, library) { AddCudaAdamW(library); }

}  // namespace stint
