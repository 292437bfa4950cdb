// What one training step reads: samples of the data set, noise and timesteps. All is a function of
// the seed and the number of the sample, so a run that goes on needs to remember no generator.
//
//     sample g of a run   picture    DataOrder
//                         timestep   key of "timestep <g>" mod 1000
//                         noise      torch's CPU generator, seeded with the key of "noise <g>"
//                         latents    drawn from the picture's moments; "latents <g>"
//
// The key of a name is RandomKey(seed, name).
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "ir/profile.h"
#include "models/pipeline_config.h"
#include "trainer/data_order.h"
#include "trainer/encoded_pictures.h"
#include "trainer/learning_rate.h"

namespace stint {

struct StepInputsOptions {
  std::uint64_t seed = 0;
  std::int64_t samples_per_step = 1;  // Of all micro-steps.
  double min_snr_gamma = 0;           // See MinSnrWeight; 0: all samples count alike.
  LearningRateSchedule schedule{};
  double ema_decay = 0;  // See EmaRateAt.
};

/// What the squared error of a sample at a timestep counts, after Hang et al., "Efficient Diffusion
/// Training via Min-SNR Weighting Strategy" (2023): min(snr, gamma) / snr where noise is predicted,
/// min(snr, gamma) / (snr + 1) where velocity is; snr = a / (1 - a) for the signal's share a.
double MinSnrWeight(double signal_share, double gamma, Prediction prediction);

class StepInputs {
 public:
  /// References are kept.
  StepInputs(const PipelineConfig& config, const EncodedPictures& pictures,
             const StepInputsOptions& options);

  /// Fills the input `buffer` of step `step`, counted from 0; `value` is its CPU tensor.
  /// @throws InputError naming a file of the cache that is gone or damaged.
  void Fill(std::int64_t step, const Buffer& buffer, const torch::Tensor& value);

  /// Index into the pictures' sizes, of all samples of step `step`.
  std::size_t BucketOf(std::int64_t step) { return order_.BucketOf(SamplesIn(step)); }

  std::int64_t SamplesIn(std::int64_t step_count) const {
    return step_count * options_.samples_per_step;
  }
  /// Whole epochs after `step_count` steps.
  std::int64_t EpochsIn(std::int64_t step_count) const {
    return order_.EpochsIn(SamplesIn(step_count));
  }

 private:
  void FillSample(std::int64_t sample, const std::string& name, const torch::Tensor& row);
  std::int64_t TimestepOf(std::int64_t sample) const;
  torch::Tensor Normal(const char* what, std::int64_t sample, torch::IntArrayRef sizes) const;

  const PipelineConfig& config_;
  const EncodedPictures& pictures_;
  StepInputsOptions options_;
  std::vector<double> signal_shares_;  // By timestep.
  DataOrder order_;
};

}  // namespace stint
