// AdamW for a group of parameters in one op whose blocks are small: a group of a few MiB fills a
// card. Knows no model.
//
// Op of the dispatcher: stint::adamw_.
#pragma once

#include <torch/types.h>

#include <optional>
#include <vector>

namespace stint {

struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double weight_decay = 0;
  double epsilon = 1e-8;
};

/// Tensors of one parameter each, by their place; those of one place have the same sizes, strides
/// and dtype, and fill their storages.
struct AdamWTensors {
  std::vector<torch::Tensor> weights{};
  std::vector<torch::Tensor> gradients{};
  std::vector<torch::Tensor> exp_avgs{};
  std::vector<torch::Tensor> exp_avg_sqs{};
  // Empty, or a number in [0, 2^32) for each parameter, different from the others': weights and
  // moments, which are bfloat16 then, are rounded stochastically. Bits depend on this number, the
  // step and the element.
  std::vector<std::int64_t> rounding_keys{};
};

/// One step of AdamW in place. step, learning_rate and grad_scale are float32 []; step counts
/// from 1. Gradients are divided by grad_scale in place, if it is there.
/// @throws c10::Error if the tensors do not go together.
void AdamWStep(const AdamWTensors& tensors, const torch::Tensor& step,
               const torch::Tensor& learning_rate, const std::optional<torch::Tensor>& grad_scale,
               const AdamWOptions& options);

}  // namespace stint
