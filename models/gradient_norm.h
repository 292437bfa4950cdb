// The global norm of gradients, taken piece by piece while backward makes them, and how much must
// be divided by to clip it. All on the device of the gradients: nobody waits for a number.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace stint {

/// Watches one backward pass. Backward runs once while this lives, and gives each parameter its
/// final gradient.
class GradientNorms {
 public:
  /// `groups` of parameters: as soon as all gradients of one are there, their norm is taken.
  explicit GradientNorms(std::vector<std::vector<torch::Tensor>> groups);
  ~GradientNorms();
  GradientNorms(const GradientNorms&) = delete;
  GradientNorms& operator=(const GradientNorms&) = delete;

  /// What gradients are divided by so that their global norm, in float32, is at most `max_norm`:
  /// float32 [], at least 1. As torch.nn.utils.clip_grad_norm_ has it, norm + 1e-6 counts.
  torch::Tensor DivisorForNorm(double max_norm) const;

 private:
  class Hook;
  void OnGradient(std::size_t group);

  std::vector<std::vector<torch::Tensor>> groups_;
  std::vector<std::size_t> missing_counts_{};  // By group: gradients not there yet.
  std::vector<torch::Tensor> norms_{};         // Of finished groups, in the order they finished.
};

}  // namespace stint
