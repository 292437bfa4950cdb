#include "models/sampler.h"

#include <algorithm>
#include <cmath>

#include "ir/errors.h"

namespace stint {
namespace {

/// Share of noise against signal at each timestep: sqrt((1 - a) / a), ascending.
std::vector<double> NoiseLevels(const std::vector<double>& alphas_cumprod) {
  std::vector<double> levels;
  for (const double alpha : alphas_cumprod) levels.push_back(std::sqrt((1 - alpha) / alpha));
  return levels;
}

/// The level at a timestep between two; beyond the ends, that of the end.
double LevelAt(const std::vector<double>& levels, double timestep) {
  const double last = static_cast<double>(levels.size() - 1);
  const double clipped = std::clamp(timestep, 0.0, last);
  const auto low = static_cast<std::size_t>(std::min(std::floor(clipped), last - 1));
  const double share = clipped - static_cast<double>(low);
  return levels[low] + share * (levels[low + 1] - levels[low]);
}

/// The timestep, not always an integer, whose level this is: linear in the level's logarithm.
double TimestepOf(const std::vector<double>& levels, double level) {
  const auto above = std::upper_bound(levels.begin(), levels.end(), level);
  const auto count = static_cast<std::ptrdiff_t>(levels.size());
  const std::ptrdiff_t low = std::clamp<std::ptrdiff_t>(above - levels.begin() - 1, 0, count - 2);
  const double low_log = std::log(levels[static_cast<std::size_t>(low)]);
  const double high_log = std::log(levels[static_cast<std::size_t>(low + 1)]);
  const double share = std::clamp((std::log(level) - low_log) / (high_log - low_log), 0.0, 1.0);
  return static_cast<double>(low) + share;
}

/// `count` levels from `max` down to `min`, evenly spaced in their seventh root.
std::vector<double> KarrasLevels(double max, double min, std::int64_t count) {
  constexpr double kRho = 7;
  const double max_root = std::pow(max, 1 / kRho);
  const double min_root = std::pow(min, 1 / kRho);
  std::vector<double> levels;
  for (std::int64_t i = 0; i < count; ++i) {
    const double share = count == 1 ? 0 : static_cast<double>(i) / static_cast<double>(count - 1);
    levels.push_back(std::pow(max_root + share * (min_root - max_root), kRho));
  }
  return levels;
}

/// Descending. Rounded half to even and multiplied in NumPy's order, since one of them lies within
/// a rounding error of a half.
std::vector<double> Timesteps(const SchedulerConfig& config, std::int64_t step_count,
                              std::int64_t timestep_count) {
  const bool is_dpm = config.sampler == SamplerKind::kDpm2m;
  const auto count = static_cast<double>(step_count);
  const auto last = static_cast<double>(timestep_count - 1);
  // DPM-Solver++ spaces one more timestep and leaves the lowest out.
  const std::int64_t spaced_count = step_count + (is_dpm ? 1 : 0);
  std::vector<double> timesteps;
  for (std::int64_t i = 0; i < step_count; ++i) {
    const std::int64_t from_below = spaced_count - 1 - i;
    switch (config.spacing) {
      case Spacing::kLeading:
        timesteps.push_back(
            static_cast<double>(from_below * (timestep_count / spaced_count) + config.step_offset));
        break;
      case Spacing::kLinspace: {
        const double exact = spaced_count == 1 ? 0
                                               : static_cast<double>(from_below) *
                                                     (last / static_cast<double>(spaced_count - 1));
        timesteps.push_back(config.sampler == SamplerKind::kEuler ? exact : std::nearbyint(exact));
        break;
      }
      case Spacing::kTrailing: {
        const double stride = static_cast<double>(timestep_count) / count;
        timesteps.push_back(
            std::nearbyint(static_cast<double>(timestep_count) - static_cast<double>(i) * stride) -
            1);
        break;
      }
    }
  }
  return timesteps;
}

/// Signal and noise of latents and prediction, for latents = alpha * signal + sigma * noise with
/// alpha^2 + sigma^2 = 1.
struct Mixture {
  double alpha = 1;
  double sigma = 0;
};

Mixture MixtureAt(double level) {
  const double alpha = 1 / std::sqrt(level * level + 1);
  return {.alpha = alpha, .sigma = level * alpha};
}

/// Sets how the step estimates the signal.
void EstimateSignal(Prediction prediction, const Mixture& now, SamplerStep& step) {
  if (prediction == Prediction::kVelocity) {
    step.signal_latents = now.alpha;
    step.signal_predicted = -now.sigma;
  } else {
    step.signal_latents = 1 / now.alpha;
    step.signal_predicted = -now.sigma / now.alpha;
  }
}

/// latents' = latent_factor * latents + signal_factor * signal + history
void Combine(double latent_factor, double signal_factor, SamplerStep& step) {
  step.next_latents = latent_factor + signal_factor * step.signal_latents;
  step.next_predicted = signal_factor * step.signal_predicted;
}

void SetPictureScales(double picture_scale, double noise_scale, SamplerSchedule& schedule) {
  schedule.picture_scale = picture_scale;
  schedule.picture_noise_scale = noise_scale;
}

SamplerSchedule DdimSchedule(const SchedulerConfig& config, std::int64_t step_count,
                             const std::vector<double>& alphas_cumprod, std::size_t first_step) {
  const auto timestep_count = static_cast<std::int64_t>(alphas_cumprod.size());
  const std::int64_t stride = timestep_count / step_count;
  const auto mixture = [](double alpha) {
    return Mixture{.alpha = std::sqrt(alpha), .sigma = std::sqrt(1 - alpha)};
  };
  SamplerSchedule schedule;
  const std::vector<double> timesteps = Timesteps(config, step_count, timestep_count);
  for (std::size_t i = first_step; i < timesteps.size(); ++i) {
    const double timestep = timesteps[i];
    const std::int64_t now_index = std::lround(timestep);
    const std::int64_t next_index = now_index - stride;
    const Mixture now = mixture(alphas_cumprod[static_cast<std::size_t>(now_index)]);
    const Mixture next =
        mixture(next_index >= 0 ? alphas_cumprod[static_cast<std::size_t>(next_index)]
                                : (config.ends_without_noise ? 1.0 : alphas_cumprod.front()));
    if (i == first_step) SetPictureScales(now.alpha, now.sigma, schedule);
    SamplerStep step{.timestep = timestep};
    EstimateSignal(config.prediction, now, step);
    // The noise is (latents - alpha * signal) / sigma, and latents' = alpha' signal + sigma' noise.
    const double noise_share = next.sigma / now.sigma;
    Combine(noise_share, next.alpha - noise_share * now.alpha, step);
    schedule.steps.push_back(step);
  }
  return schedule;
}

/// Timesteps and levels of Euler and DPM-Solver++; one level more than timesteps: 0.
struct Levels {
  std::vector<double> timesteps{};
  std::vector<double> levels{};
};

Levels LevelsOf(const SchedulerConfig& config, std::int64_t step_count,
                const std::vector<double>& alphas_cumprod) {
  const std::vector<double> all = NoiseLevels(alphas_cumprod);
  const bool is_dpm = config.sampler == SamplerKind::kDpm2m;
  Levels result;
  result.timesteps = Timesteps(config, step_count, static_cast<std::int64_t>(all.size()));
  for (const double timestep : result.timesteps) result.levels.push_back(LevelAt(all, timestep));
  if (config.has_karras_spacing) {
    result.levels = is_dpm ? KarrasLevels(all.back(), all.front(), step_count)
                           : KarrasLevels(result.levels.front(), result.levels.back(), step_count);
    for (std::size_t i = 0; i < result.levels.size(); ++i) {
      const double timestep = TimestepOf(all, result.levels[i]);
      result.timesteps[i] = is_dpm ? std::nearbyint(timestep) : timestep;
    }
  }
  result.levels.push_back(0);
  return result;
}

/// Its latents are signal + level * noise.
SamplerSchedule EulerSchedule(const SchedulerConfig& config, const Levels& levels,
                              std::size_t first_step) {
  SamplerSchedule schedule;
  const double max_level = *std::max_element(levels.levels.begin(), levels.levels.end());
  schedule.initial_scale =
      config.spacing == Spacing::kLeading ? std::sqrt(max_level * max_level + 1) : max_level;
  SetPictureScales(1, levels.levels[first_step], schedule);
  for (std::size_t i = first_step; i < levels.timesteps.size(); ++i) {
    const double level = levels.levels[i];
    const Mixture now = MixtureAt(level);
    SamplerStep step{.timestep = levels.timesteps[i], .input_scale = now.alpha};
    EstimateSignal(config.prediction, now, step);
    step.signal_latents *= now.alpha;  // The formula is about alpha * latents.
    if (config.prediction == Prediction::kNoise) step.signal_predicted = -level;
    // latents' = latents + (latents - signal) / level * (level' - level)
    const double ratio = levels.levels[i + 1] / level;
    Combine(ratio, 1 - ratio, step);
    schedule.steps.push_back(step);
  }
  return schedule;
}

SamplerSchedule DpmSchedule(const SchedulerConfig& config, const Levels& levels,
                            std::size_t first_step) {
  SamplerSchedule schedule;
  schedule.has_history = true;
  const std::size_t count = levels.timesteps.size();
  for (std::size_t i = first_step; i < count; ++i) {
    const Mixture now = MixtureAt(levels.levels[i]);
    if (i == first_step) SetPictureScales(now.alpha, now.sigma, schedule);
    const Mixture next = MixtureAt(levels.levels[i + 1]);
    SamplerStep step{.timestep = levels.timesteps[i]};
    EstimateSignal(config.prediction, now, step);
    // exp(-h) for the step h of the logarithm of alpha / sigma; 0 where the last step ends.
    const double shrinkage = levels.levels[i + 1] / levels.levels[i];
    double signal_factor = next.alpha * (1 - shrinkage);
    const bool is_first_order = i == first_step || i + 1 == count;
    if (!is_first_order) {
      const double h = -std::log(shrinkage);
      const double last_h = std::log(levels.levels[i - 1] / levels.levels[i]);
      const double correction = 0.5 * signal_factor * h / last_h;
      signal_factor += correction;
      step.next_history = -correction;
    }
    Combine(next.sigma / now.sigma, signal_factor, step);
    schedule.steps.push_back(step);
  }
  return schedule;
}

}  // namespace

SamplerSchedule MakeSamplerSchedule(const SchedulerConfig& config, std::int64_t step_count,
                                    const std::vector<double>& alphas_cumprod,
                                    std::int64_t first_step) {
  Check(1 <= step_count && step_count < static_cast<std::int64_t>(alphas_cumprod.size()),
        "a sampler has fewer steps than there are timesteps");
  Check(0 <= first_step && first_step < step_count, "the first step is one of them");
  const auto first = static_cast<std::size_t>(first_step);
  if (config.sampler == SamplerKind::kDdim) {
    return DdimSchedule(config, step_count, alphas_cumprod, first);
  }
  const Levels levels = LevelsOf(config, step_count, alphas_cumprod);
  return config.sampler == SamplerKind::kEuler ? EulerSchedule(config, levels, first)
                                               : DpmSchedule(config, levels, first);
}

}  // namespace stint
