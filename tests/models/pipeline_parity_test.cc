// Compares text encoders, autoencoder and whole generations with what transformers and diffusers
// computed from the same weights and inputs; run by parity_pipeline.py, which makes them and names
// the pipeline.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <string>

#include "models/generate.h"
#include "models/noise_schedule.h"
#include "models/pipeline_config.h"
#include "models/text_encoder.h"
#include "models/vae.h"
#include "tests/models/parity_files.h"
#include "tests/models/tiny_unet.h"

namespace stint {
namespace {

constexpr std::int64_t kStepCount = 30;

FindWeight FindIn(const std::map<std::string, at::Tensor>& weights, const std::string& part) {
  return [&weights, part](const std::string& name) { return weights.at(part + "." + name); };
}

Workload GenerateWorkload(const std::string& sampler) {
  return CompleteWorkload({.model = ParityModel(),
                           .task = "generate",
                           .dtype = "float32",
                           .attention = "cpu",
                           .batch_count = 2,
                           .height_px = 64,
                           .width_px = 128},
                          {.sampler = sampler, .step_count = kStepCount});
}

PipelineConfig Config() {
  return PipelineConfigFromJson(GenerateWorkload("").config_json, ParityModel());
}

/// Fails where a difference is above `tolerance` of the largest expected element.
void ExpectClose(const std::string& name, const at::Tensor& actual, const at::Tensor& expected,
                 double tolerance) {
  ASSERT_EQ(actual.sizes(), expected.sizes()) << name;
  const double relative = MaxDifference(actual, expected) / expected.abs().max().item<double>();
  std::cout << name << ": largest difference " << relative << " of the largest element\n";
  EXPECT_LE(relative, tolerance) << name;
}

class PipelineParity : public testing::Test {
 protected:
  std::map<std::string, at::Tensor> weights_ = ReadTensors("weights");
  std::map<std::string, at::Tensor> inputs_ = ReadTensors("inputs");
  std::map<std::string, at::Tensor> expected_ = ReadTensors("expected");
};

TEST_F(PipelineParity, WeightsAreThoseOfTheCheckpoint) {
  std::size_t count = 0;
  for (const Component& component : ComponentsOf(Config())) {
    for (const WeightSpec& spec : component.weights) {
      const std::string name = component.name + "." + spec.name;
      ASSERT_TRUE(weights_.contains(name)) << name;
      EXPECT_EQ(weights_.at(name).sizes(), at::IntArrayRef(spec.sizes)) << name;
      ++count;
    }
  }
  EXPECT_EQ(count, weights_.size());
}

TEST_F(PipelineParity, TextStatesEqualThoseOfTransformers) {
  const PipelineConfig config = Config();
  for (std::size_t i = 0; i < config.text_encoders.size(); ++i) {
    const std::string part = i == 0 ? "text_encoder" : "text_encoder_2";
    const std::string suffix = "_" + std::to_string(i);
    for (const AttentionKind attention : {AttentionKind::kCpu, AttentionKind::kMath}) {
      const bool has_pooled = config.text_encoders[i].projection_size > 0;
      const TextStates states =
          RunTextEncoder(config.text_encoders[i],
                         {.attention = attention,
                          .wants_last = true,
                          .wants_penultimate = true,
                          .wants_pooled = has_pooled},
                         FindIn(weights_, part), inputs_.at(i == 0 ? "token_ids" : "token_ids_2"));
      ExpectClose("last" + suffix, states.last, expected_.at("last" + suffix), 1e-5);
      ExpectClose("penultimate" + suffix, states.penultimate, expected_.at("penultimate" + suffix),
                  1e-5);
      if (has_pooled) {
        ExpectClose("pooled" + suffix, states.pooled, expected_.at("pooled" + suffix), 1e-5);
      }
    }
  }
}

TEST_F(PipelineParity, AutoencoderEqualsDiffusersBothWays) {
  const VaeConfig config = Config().vae;
  const FindWeight find = FindIn(weights_, "vae");
  const at::Tensor moments =
      EncodePicture(config, AttentionKind::kCpu, find, inputs_.at("picture"));
  ExpectClose("moments", moments, expected_.at("moments"), 1e-5);
  const at::Tensor latents = SampleLatents(config, moments, inputs_.at("picture_noise"));
  ExpectClose("latents of the picture", latents, expected_.at("picture_latents"), 1e-5);
  ExpectClose("decoded", DecodeLatents(config, AttentionKind::kCpu, find, latents),
              expected_.at("decoded"), 1e-5);
}

class PipelineSampler : public PipelineParity, public testing::WithParamInterface<std::string> {};

TEST_P(PipelineSampler, ThirtyStepsEqualDiffusersPipeline) {
  const Workload workload = GenerateWorkload(GetParam());
  const PipelineConfig config = PipelineConfigFromJson(workload.config_json, workload.model);
  const SamplerSchedule schedule =
      MakeSamplerSchedule(config.scheduler, kStepCount, AlphasCumprodValues());
  EagerHost host([&](const Buffer& buffer, const at::Tensor& value) {
    if (buffer.name == "sampler_steps") {
      value.copy_(SamplerTable(schedule));
    } else if (buffer.name == "initial_scale") {
      value.fill_(schedule.initial_scale);
    } else {
      value.copy_((buffer.role == BufferRole::kWeight ? weights_ : inputs_).at(buffer.name));
    }
  });
  host.Run(BuildProgram(workload));

  ExpectClose("latents", host.results().at("latents"), expected_.at("latents_" + GetParam()), 1e-4);
  const at::Tensor levels = host.results().at("image").to(at::kFloat);
  // Rounding may fall to the other side.
  EXPECT_LE(MaxDifference(levels, expected_.at("image_" + GetParam())), 1);
}

INSTANTIATE_TEST_SUITE_P(Samplers, PipelineSampler,
                         testing::Values("ddim", "euler", "dpm++2m-karras"));

}  // namespace
}  // namespace stint
