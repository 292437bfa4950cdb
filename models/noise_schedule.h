// How much noise a latent holds at each timestep, and the sampler's steps through them: the
// "scaled_linear" schedule of all Stable Diffusion versions up to SDXL.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "models/prediction.h"

namespace stint {

inline constexpr std::int64_t kTimestepCount = 1000;

/// Share of the signal's variance at each timestep: float32 [kTimestepCount], from 0.9991 down to
/// 0.0047. A latent at timestep t is sqrt(a[t]) * signal + sqrt(1 - a[t]) * noise.
torch::Tensor AlphasCumprod();
/// The same as numbers.
std::vector<double> AlphasCumprodValues();

/// One step of DDIM without added noise: next = latent_scale * latent + noise_scale * predicted.
struct DdimStep {
  std::int64_t timestep = 0;
  double latent_scale = 1;
  double noise_scale = 0;
};

/// Step `index` of `step_count`, as SD1.5 samples: leading spacing with offset 1, so 50 steps are
/// at timesteps 981, 961, ..., 1.
DdimStep MakeDdimStep(std::int64_t index, std::int64_t step_count,
                      Prediction prediction = Prediction::kNoise);

}  // namespace stint
