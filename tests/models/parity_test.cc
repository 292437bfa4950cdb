// Compares the programs with what diffusers computed from the same weights and inputs; run by
// parity_unet.py, which makes them and names the model.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <string>

#include "models/noise_schedule.h"
#include "models/unet.h"
#include "tests/models/parity_files.h"
#include "tests/models/tiny_unet.h"

namespace stint {
namespace {

/// SD2.1's stands for its 768-v variant.
Workload WorkloadOf(const std::string& task) {
  Workload workload = TinyWorkload(task, ParityModel());
  if (ParityModel() == "tiny-sd21-unet") workload.prediction = "v_prediction";
  return workload;
}

DdimStep Step() {
  const bool is_velocity = WorkloadOf("denoise").prediction == "v_prediction";
  return MakeDdimStep(25, 50, is_velocity ? Prediction::kVelocity : Prediction::kNoise);
}

/// Values from the reference's files; the sampler's step from our own schedule.
EagerHost::Load LoadReference(const std::string& task) {
  const std::shared_ptr<ValueSource> weights = MakeWeightSource(ParityFile("weights"), "--weights");
  const std::shared_ptr<ValueSource> inputs =
      MakeInputSource(ParityFile(task + "_inputs"), "--inputs");
  return [weights, inputs](const Buffer& buffer, const at::Tensor& value) {
    const DdimStep step = Step();
    if (buffer.name == "latent_scale") {
      value.fill_(step.latent_scale);
    } else if (buffer.name == "noise_scale") {
      value.fill_(step.noise_scale);
    } else if (buffer.role == BufferRole::kInput || buffer.role == BufferRole::kConstant) {
      inputs->Load(buffer, value);
    } else {
      weights->Load(buffer, value);
    }
  };
}

/// Keeps the largest difference relative to the largest element of its tensor, for the log.
class Comparison {
 public:
  ~Comparison() {
    std::cout << "largest difference " << max_absolute_ << ", relative " << max_relative_ << " ("
              << worst_ << ")\n";
  }
  void Add(const std::string& name, const at::Tensor& actual, const at::Tensor& expected) {
    ASSERT_EQ(actual.sizes(), expected.sizes()) << name;
    const double difference = MaxDifference(actual, expected);
    const double scale = expected.abs().max().item<double>();
    EXPECT_LE(difference, 1e-4 * scale + 1e-8) << name;
    if (difference / scale > max_relative_) {
      max_relative_ = difference / scale;
      worst_ = name;
    }
    max_absolute_ = std::max(max_absolute_, difference);
  }

 private:
  double max_absolute_ = 0;
  double max_relative_ = 0;
  std::string worst_;
};

struct TrainCase {
  std::string attention{};
  std::string layout{};
};

class TrainParity : public testing::TestWithParam<TrainCase> {};

TEST_P(TrainParity, LossAndEveryGradientEqualDiffusers) {
  Workload workload = WorkloadOf("train");
  workload.attention = GetParam().attention;
  workload.layout = GetParam().layout;
  EagerHost host(LoadReference("train"));
  host.Run(BuildProgram(workload));

  auto expected = ReadTensors("train_expected");
  EXPECT_EQ(host.results().size(), 1 + (ParityModel() == "tiny-sdxl-unet" ? 1680U : 686U));
  expected.erase("noisy");
  expected.erase("predicted");
  ASSERT_EQ(expected.size(), host.results().size());
  Comparison comparison;
  for (const auto& [name, value] : expected) {
    ASSERT_TRUE(host.results().contains(name)) << name;
    comparison.Add(name, host.results().at(name), value);
  }
}

TEST_P(TrainParity, PredictedNoiseEqualsDiffusers) {
  Workload workload = WorkloadOf("train");
  const UnetConfig config = UnetConfigFromJson(workload.config_json, workload.model);
  const auto weights = ReadTensors("weights");
  const auto inputs = ReadTensors("train_inputs");
  const auto expected = ReadTensors("train_expected");
  EXPECT_EQ(weights.size(), UnetWeights(config).size());
  UnetInputs unet_inputs;
  unet_inputs.latents = expected.at("noisy");
  unet_inputs.timesteps = at::arange(2, at::kLong).mul(974).add(3);
  unet_inputs.text_states = inputs.at("text_states");
  if (config.HasAddition()) {
    unet_inputs.pooled_text = inputs.at("pooled_text");
    unet_inputs.time_ids = inputs.at("time_ids");
  }
  const at::Tensor predicted = RunUnet(
      config,
      {.attention = AttentionKindFromName(GetParam().attention),
       .is_nhwc = GetParam().layout == "nhwc"},
      [&](const std::string& name) { return weights.at(name); }, unet_inputs);
  Comparison comparison;
  comparison.Add("predicted", predicted, expected.at("predicted"));
}

INSTANTIATE_TEST_SUITE_P(AttentionAndLayout, TrainParity,
                         testing::Values(TrainCase{.attention = "cpu", .layout = "nchw"},
                                         TrainCase{.attention = "math", .layout = "nchw"},
                                         TrainCase{.attention = "cpu", .layout = "nhwc"}));

TEST(DenoiseParity, DenoisedLatentsEqualDiffusers) {
  EagerHost host(LoadReference("denoise"));
  host.Run(BuildProgram(WorkloadOf("denoise")));
  EXPECT_EQ(host.persistent().at("timestep").item<std::int64_t>(), Step().timestep);
  Comparison comparison;
  comparison.Add("latents", host.results().at("latents"),
                 ReadTensors("denoise_expected").at("latents"));
}

}  // namespace
}  // namespace stint
