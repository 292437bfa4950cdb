#include "models/noise_schedule.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "ir/errors.h"

namespace stint {

torch::Tensor AlphasCumprod() {
  // In float32 and by LibTorch's own ops, so that the bits are those of diffusers.
  const at::Tensor betas =
      at::linspace(std::sqrt(0.00085), std::sqrt(0.012), kTimestepCount, at::kFloat).pow(2);
  return at::cumprod(at::rsub(betas, 1), 0);
}

std::vector<double> AlphasCumprodValues() {
  const at::Tensor alphas = AlphasCumprod().to(at::kDouble);
  const auto* const begin = alphas.const_data_ptr<double>();
  return {begin, begin + alphas.numel()};
}

DdimStep MakeDdimStep(std::int64_t index, std::int64_t step_count, Prediction prediction) {
  Check(0 <= index && index < step_count && step_count < kTimestepCount, "a step of the schedule");
  const std::int64_t stride = kTimestepCount / step_count;
  const std::int64_t timestep = (step_count - 1 - index) * stride + 1;
  const at::Tensor alphas = AlphasCumprod();
  // The step after the last timestep goes to the first alpha, not to 1 (set_alpha_to_one false).
  const std::int64_t next_timestep = std::max<std::int64_t>(timestep - stride, 0);
  const double alpha = alphas[timestep].item<float>();
  const double next_alpha = alphas[next_timestep].item<float>();
  if (prediction == Prediction::kVelocity) {
    // signal = sqrt(a) * latent - sqrt(1 - a) * v, noise = sqrt(1 - a) * latent + sqrt(a) * v
    const double ab = std::sqrt(alpha * next_alpha);
    const double noises = std::sqrt((1 - alpha) * (1 - next_alpha));
    return {
        .timestep = timestep,
        .latent_scale = ab + noises,
        .noise_scale = std::sqrt((1 - next_alpha) * alpha) - std::sqrt(next_alpha * (1 - alpha))};
  }
  // next = sqrt(b) * (latent - sqrt(1 - a) * noise) / sqrt(a) + sqrt(1 - b) * noise
  const double latent_scale = std::sqrt(next_alpha / alpha);
  return {.timestep = timestep,
          .latent_scale = latent_scale,
          .noise_scale = std::sqrt(1 - next_alpha) - latent_scale * std::sqrt(1 - alpha)};
}

}  // namespace stint
