// The steps of a sampler as numbers: what each of them multiplies latents and predictions by. A
// program that has these as inputs can take any sampler's steps. Knows no LibTorch.
#pragma once

#include <cstdint>
#include <vector>

#include "models/scheduler_config.h"

namespace stint {

/// One step. All samplers here are linear in what they know:
///
///     predicted = unet(input_scale * latents, timestep)
///     signal    = signal_latents * latents + signal_predicted * predicted
///     latents'  = next_latents * latents + next_predicted * predicted + next_history * history
///     history'  = signal
struct SamplerStep {
  double timestep = 0;  // Not always an integer.
  double input_scale = 1;
  double next_latents = 1;
  double next_predicted = 0;
  double next_history = 0;  // 0 in the first step, and in samplers without history.
  double signal_latents = 0;
  double signal_predicted = 0;
};

struct SamplerSchedule {
  double initial_scale = 1;        // The first latents are noise times this.
  double picture_scale = 0;        // Those of a picture are its latents times this and
  double picture_noise_scale = 1;  // noise times this.
  bool has_history = false;        // Whether any step uses it.
  std::vector<SamplerStep> steps{};
};

/// `alphas_cumprod`: share of the signal's variance at each of the 1000 timesteps.
/// `step_count` from 1 to 999. Of these steps the schedule has those from `first_step` on, which is
/// less; with history, its first one has none. O(step_count), except that Karras spacing looks each
/// level up.
SamplerSchedule MakeSamplerSchedule(const SchedulerConfig& config, std::int64_t step_count,
                                    const std::vector<double>& alphas_cumprod,
                                    std::int64_t first_step = 0);

}  // namespace stint
