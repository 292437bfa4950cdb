#include "trainer/step_inputs.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "ir/errors.h"
#include "models/noise_schedule.h"
#include "models/random.h"
#include "models/vae.h"
#include "trainer/ema.h"

namespace stint {
namespace {

std::vector<std::size_t> BucketsOf(const EncodedPictures& pictures) {
  std::vector<std::size_t> buckets;
  buckets.reserve(pictures.pictures.size());
  for (const EncodedPicture& picture : pictures.pictures) buckets.push_back(picture.bucket);
  return buckets;
}

}  // namespace

double MinSnrWeight(double signal_share, double gamma, Prediction prediction) {
  const double snr = signal_share / (1 - signal_share);
  return std::min(snr, gamma) / (prediction == Prediction::kVelocity ? snr + 1 : snr);
}

StepInputs::StepInputs(const PipelineConfig& config, const EncodedPictures& pictures,
                       const StepInputsOptions& options)
    : config_(config),
      pictures_(pictures),
      options_(options),
      signal_shares_(AlphasCumprodValues()),
      order_(options.seed, BucketsOf(pictures), options.samples_per_step) {}

void StepInputs::Fill(std::int64_t step, const Buffer& buffer, const torch::Tensor& value) {
  if (buffer.name == "learning_rate") {
    value.fill_(LearningRateAt(options_.schedule, step));
    return;
  }
  if (buffer.name == "ema_rate") {
    value.fill_(EmaRateAt(options_.ema_decay, step));
    return;
  }
  // However its tensor looks, a buffer holds one sample after the other.
  const at::Tensor rows = value.view({options_.samples_per_step, -1});
  for (std::int64_t i = 0; i < options_.samples_per_step; ++i) {
    FillSample(step * options_.samples_per_step + i, buffer.name, rows[i]);
  }
}

void StepInputs::FillSample(std::int64_t sample, const std::string& name,
                            const torch::Tensor& row) {
  const EncodedPicture& picture = pictures_.pictures[order_.PictureOf(sample)];
  const auto copy = [&](const at::Tensor& source) {
    Check(source.numel() == row.numel(), "a sample has the sizes that the program declares");
    row.copy_(source.reshape({-1}));
  };
  if (name == "timesteps") {
    row.fill_(TimestepOf(sample));
  } else if (name == "loss_weights") {
    const double share = signal_shares_[static_cast<std::size_t>(TimestepOf(sample))];
    row.fill_(options_.min_snr_gamma == 0
                  ? 1.0
                  : MinSnrWeight(share, options_.min_snr_gamma, config_.scheduler.prediction));
  } else if (name == "noise") {
    copy(Normal("noise", sample, row.sizes()));
  } else if (name == "latents") {
    const at::Tensor moments = ReadEncoded(picture.moments, "moments").unsqueeze(0);
    std::vector<std::int64_t> sizes = moments.sizes().vec();
    sizes[1] = config_.vae.latent_channel_count;
    copy(SampleLatents(config_.vae, moments, Normal("latents", sample, sizes)));
  } else if (name == "text_states" || name == "pooled_text") {
    copy(ReadEncoded(picture.caption, name));
  } else if (name == "time_ids") {
    copy(at::tensor(picture.time_ids));
  } else {
    Check(false, "every input of a training step is known");
  }
}

std::int64_t StepInputs::TimestepOf(std::int64_t sample) const {
  const std::uint64_t key = RandomKey(options_.seed, fmt::format("timestep {}", sample));
  return static_cast<std::int64_t>(key % kTimestepCount);
}

torch::Tensor StepInputs::Normal(const char* what, std::int64_t sample,
                                 torch::IntArrayRef sizes) const {
  const std::uint64_t key = RandomKey(options_.seed, fmt::format("{} {}", what, sample));
  return at::randn(sizes, at::detail::createCPUGenerator(key), at::kFloat);
}

}  // namespace stint
