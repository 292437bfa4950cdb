#include "models/gradient_norm.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <utility>

#include "ir/errors.h"

namespace stint {
namespace {

constexpr double kNormEpsilon = 1e-6;

}  // namespace

/// Called when a parameter has its gradient.
class GradientNorms::Hook : public torch::autograd::PostAccumulateGradHook {
 public:
  Hook(GradientNorms& norms, std::size_t group) : norms_(norms), group_(group) {}
  void operator()(const torch::autograd::Variable& /*parameter*/) override {
    norms_.OnGradient(group_);
  }

 private:
  GradientNorms& norms_;
  std::size_t group_;
};

GradientNorms::GradientNorms(std::vector<std::vector<torch::Tensor>> groups)
    : groups_(std::move(groups)) {
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    missing_counts_.push_back(groups_[i].size());
    for (const at::Tensor& parameter : groups_[i]) {
      torch::autograd::impl::set_post_acc_grad_hooks(parameter, std::make_unique<Hook>(*this, i));
    }
  }
}

GradientNorms::~GradientNorms() {
  for (const std::vector<at::Tensor>& group : groups_) {
    for (const at::Tensor& parameter : group) {
      torch::autograd::impl::set_post_acc_grad_hooks(parameter, nullptr);
    }
  }
}

void GradientNorms::OnGradient(std::size_t group) {
  Check(missing_counts_[group] > 0, "a parameter gets its final gradient once");
  if (--missing_counts_[group] > 0) return;
  std::vector<at::Tensor> gradients;
  for (const at::Tensor& parameter : groups_[group]) gradients.push_back(parameter.grad());
  const at::NoGradGuard no_grad;
  const std::vector<at::Tensor> norms = at::_foreach_norm(gradients, 2, at::kFloat);
  norms_.push_back(norms.size() == 1 ? norms.front() : at::linalg_vector_norm(at::stack(norms)));
}

torch::Tensor GradientNorms::DivisorForNorm(double max_norm) const {
  Check(norms_.size() == groups_.size(), "every group has its gradients after backward");
  const at::Tensor norm = at::linalg_vector_norm(at::stack(norms_));
  return at::clamp_min(at::div(at::add(norm, kNormEpsilon), max_norm), 1);
}

}  // namespace stint
