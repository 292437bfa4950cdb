#include <ATen/ATen.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAStream.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/adamw_kernels.h"
#include "kernels/adamw_ops.h"
#include "kernels/cuda_arguments.h"
#include "kernels/cuda_ops.h"

namespace stint {
namespace {

/// Whether one launch's rules hold for a parameter and its companions.
bool IsPlain(const at::Tensor& weight, std::initializer_list<at::Tensor> companions) {
  const auto is_like_weight = [&](const at::Tensor& tensor) {
    return tensor.sizes() == weight.sizes() && tensor.strides() == weight.strides() &&
           tensor.scalar_type() == weight.scalar_type() && IsAligned(tensor);
  };
  return weight.is_non_overlapping_and_dense() && IsAligned(weight) &&
         std::all_of(companions.begin(), companions.end(), is_like_weight);
}

void AdamWCuda(at::TensorList weights, at::TensorList gradients, at::TensorList exp_avgs,
               at::TensorList exp_avg_sqs, const at::Tensor& step, const at::Tensor& learning_rate,
               const std::optional<at::Tensor>& grad_scale, at::IntArrayRef rounding_keys,
               double beta1, double beta2, double weight_decay, double epsilon) {
  TORCH_CHECK(gradients.size() == weights.size() && exp_avgs.size() == weights.size() &&
                  exp_avg_sqs.size() == weights.size(),
              "adamw_ takes lists of the same length");
  bool is_plain = !weights.empty();
  for (std::size_t i = 0; i < weights.size(); ++i) {
    is_plain = is_plain && weights[i].scalar_type() == weights[0].scalar_type() &&
               IsPlain(weights[i], {gradients[i], exp_avgs[i], exp_avg_sqs[i]});
  }
  const bool is_rounded_at_random = !rounding_keys.empty();
  TORCH_CHECK(
      !is_rounded_at_random || (is_plain && weights[0].scalar_type() == at::kBFloat16 &&
                                rounding_keys.size() == weights.size()),
      "adamw_ rounds only dense bfloat16 tensors stochastically, with a key for each weight");
  if (!is_plain || weights[0].scalar_type() == at::kDouble) {
    AdamWByLibTorch(weights, gradients, exp_avgs, exp_avg_sqs, step, learning_rate, grad_scale,
                    rounding_keys, beta1, beta2, weight_decay, epsilon);
    return;
  }
  const ElementKind kind = ElementKindOf(weights[0], "adamw_");
  AdamWArguments arguments = {
      .step = step.const_data_ptr<float>(),
      .learning_rate = learning_rate.const_data_ptr<float>(),
      .grad_scale = grad_scale ? grad_scale->const_data_ptr<float>() : nullptr,
      .log_beta1 = static_cast<float>(std::log(beta1)),
      .log_beta2 = static_cast<float>(std::log(beta2)),
      .beta1 = static_cast<float>(beta1),
      .beta2 = static_cast<float>(beta2),
      .new_share1 = static_cast<float>(1 - beta1),
      .new_share2 = static_cast<float>(1 - beta2),
      .weight_decay = static_cast<float>(weight_decay),
      .epsilon = static_cast<float>(epsilon),
      .is_rounded_at_random = is_rounded_at_random};
  const auto launch = [&] {
    if (arguments.first_blocks[arguments.tensor_count] > 0) {
      C10_CUDA_CHECK(LaunchAdamW(kind, arguments, c10::cuda::getCurrentCUDAStream()));
    }
    arguments.tensor_count = 0;
  };
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (arguments.tensor_count == kMaxAdamWTensors) launch();
    const int k = arguments.tensor_count++;
    arguments.weights[k] = weights[i].mutable_data_ptr();
    arguments.gradients[k] = gradients[i].mutable_data_ptr();
    arguments.exp_avgs[k] = exp_avgs[i].mutable_data_ptr();
    arguments.exp_avg_sqs[k] = exp_avg_sqs[i].mutable_data_ptr();
    arguments.element_counts[k] = weights[i].numel();
    if (is_rounded_at_random) {
      arguments.rounding_keys[k] = static_cast<std::uint32_t>(rounding_keys[i]);
    }
    const std::int64_t block_count = (weights[i].numel() + kAdamWChunk - 1) / kAdamWChunk;
    TORCH_CHECK(block_count < std::numeric_limits<int>::max() / kMaxAdamWTensors,
                "adamw_ has no CUDA kernel for ", weights[i].numel(), " elements");
    if (k == 0) arguments.first_blocks[0] = 0;
    arguments.first_blocks[k + 1] = arguments.first_blocks[k] + static_cast<int>(block_count);
  }
  launch();
}

}  // namespace

void AddCudaAdamW(torch::Library& library) { library.impl("adamw_", &AdamWCuda); }

}  // namespace stint
