#include "models/pipeline_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "ir/errors.h"
#include "models/component_weights.h"
#include "models/known_models.h"
#include "models/sampler.h"

namespace stint {
namespace {

using nlohmann::json;
using testing::SizeIs;

PipelineConfig ConfigOf(const std::string& name, const std::string& sampler = "") {
  json text = json::parse(KnownPipeline(name).value());
  if (!sampler.empty()) text["sampler"] = sampler;
  return PipelineConfigFromJson(text.dump(), name);
}

const Component& ComponentOf(const std::vector<Component>& components, const std::string& name) {
  return *std::ranges::find(components, name, &Component::name);
}

std::string RefusalWith(const std::string& name, const std::function<void(json&)>& change) {
  json text = json::parse(KnownPipeline(name).value());
  change(text);
  try {
    PipelineConfigFromJson(text.dump(), "model");
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(PipelineConfigTest, PartsHaveTheParametersOfTheRealModels) {
  const auto sd15 = ComponentsOf(ConfigOf("sd15"));
  EXPECT_EQ(ParameterCount(ComponentOf(sd15, "text_encoder").weights), 123'060'480);
  EXPECT_EQ(ParameterCount(ComponentOf(sd15, "unet").weights), 859'520'964);
  EXPECT_EQ(ParameterCount(ComponentOf(sd15, "vae").weights), 83'653'863);
  EXPECT_THAT(ComponentOf(sd15, "vae").weights, SizeIs(248));
  for (const std::string name : {"sd21", "sd21-768"}) {
    const auto sd21 = ComponentsOf(ConfigOf(name));
    EXPECT_EQ(ParameterCount(ComponentOf(sd21, "text_encoder").weights), 340'387'840);
    EXPECT_EQ(ParameterCount(ComponentOf(sd21, "unet").weights), 865'910'724);
  }
  const auto sdxl = ComponentsOf(ConfigOf("sdxl"));
  EXPECT_THAT(sdxl, SizeIs(4));
  EXPECT_EQ(ParameterCount(ComponentOf(sdxl, "text_encoder").weights), 123'060'480);
  EXPECT_EQ(ParameterCount(ComponentOf(sdxl, "text_encoder_2").weights), 694'659'840);
  EXPECT_EQ(ParameterCount(ComponentOf(sdxl, "unet").weights), 2'567'463'684);
  EXPECT_EQ(ParameterCount(ComponentOf(sdxl, "vae").weights), 83'653'863);
}

TEST(PipelineConfigTest, EncoderAndDecoderShareTheVaesParameters) {
  const VaeConfig vae = ConfigOf("sd15").vae;
  EXPECT_EQ(ParameterCount(VaeEncoderWeights(vae)), 34'163'592 + 72);  // quant_conv: 8 * 8 + 8
  EXPECT_EQ(ParameterCount(VaeDecoderWeights(vae)), 49'490'179 + 20);  // 4 * 4 + 4
  EXPECT_EQ(vae.PxPerLatent(), 8);
}

TEST(PipelineConfigTest, KnowsWhatEachModelPredictsAndUpcasts) {
  EXPECT_EQ(ConfigOf("sd15").scheduler.prediction, Prediction::kNoise);
  EXPECT_EQ(ConfigOf("sd21").scheduler.prediction, Prediction::kNoise);
  EXPECT_EQ(ConfigOf("sd21-768").scheduler.prediction, Prediction::kVelocity);
  EXPECT_FALSE(ConfigOf("sd15").vae.needs_float32);
  EXPECT_TRUE(ConfigOf("sdxl").vae.needs_float32);
  EXPECT_TRUE(ConfigOf("sd15").text_encoders[0].is_quick_gelu);
  EXPECT_FALSE(ConfigOf("sd21").text_encoders[0].is_quick_gelu);
}

TEST(PipelineConfigTest, RefusesPartsThatDoNotGoTogether) {
  EXPECT_EQ(RefusalWith("sd15", [](json& text) { text["unet"]["cross_attention_dim"] = 1024; }),
            "model:/unet/cross_attention_dim: is 1024, but the size of the text encoders' states "
            "is 768");
  EXPECT_EQ(RefusalWith("sd15", [](json& text) { text["vae"]["latent_channels"] = 16; }),
            "model:/unet/in_channels: is 4, but the VAE's latent_channels is 16");
  EXPECT_EQ(RefusalWith("sdxl", [](json& text) { text["text_encoder_2"]["projection_dim"] = 768; }),
            "model:/text_encoder_2/projection_dim: is 768, but the pooled text that the UNet takes "
            "is 1280");
  EXPECT_EQ(RefusalWith("sdxl", [](json& text) { text.erase("vae"); }), "model:/vae: is missing");
}

TEST(PipelineConfigTest, NamesThePlaceInsideAPart) {
  EXPECT_EQ(RefusalWith("sd15", [](json& text) { text["text_encoder"]["hidden_act"] = "relu"; }),
            "model:/text_encoder:/hidden_act: is \"relu\"; Stint knows quick_gelu and gelu");
  EXPECT_EQ(RefusalWith("sd15", [](json& text) { text["vae"]["shift_factor"] = 0.1; }),
            "model:/vae:/shift_factor: is 0.1; Stint supports only null");
  EXPECT_EQ(RefusalWith("sd15", [](json& text) { text["scheduler"]["thresholding"] = true; }),
            "model:/scheduler:/thresholding: is true; Stint supports only false");
}

TEST(SchedulerConfigTest, TheFlagGoesBeforeTheFile) {
  EXPECT_EQ(ConfigOf("sd15").scheduler.sampler, SamplerKind::kDdim);
  EXPECT_EQ(ConfigOf("sdxl").scheduler.sampler, SamplerKind::kEuler);
  const SchedulerConfig dpm = ConfigOf("sd15", "dpm++2m-karras").scheduler;
  EXPECT_EQ(dpm.sampler, SamplerKind::kDpm2m);
  EXPECT_EQ(dpm.spacing, Spacing::kLinspace);  // DPM-Solver++'s own, as the file names none.
  EXPECT_TRUE(dpm.has_karras_spacing);
  EXPECT_EQ(ConfigOf("sdxl", "dpm++2m").scheduler.spacing, Spacing::kLeading);  // The file's.
  EXPECT_THROW(ConfigOf("sd15", "ddim-karras"), InputError);
  EXPECT_THROW(ConfigOf("sd15", "heun"), InputError);
}

std::vector<double> Alphas() {
  // Any falling sequence will do: 0.999, 0.998, ...
  std::vector<double> alphas;
  for (int i = 1; i < 1000; ++i) alphas.push_back(1 - i * 0.001);
  return alphas;
}

TEST(SamplerTest, StepsVisitLeadingTimesteps) {
  const SamplerSchedule schedule = MakeSamplerSchedule(ConfigOf("sd15").scheduler, 50, Alphas());
  EXPECT_THAT(schedule.steps, SizeIs(50));
  EXPECT_EQ(schedule.steps.front().timestep, 49 * 19 + 1);  // 999 / 50 = 19
  EXPECT_EQ(schedule.steps.back().timestep, 1);
  EXPECT_FALSE(schedule.has_history);
}

TEST(SamplerTest, PerfectPredictionsLeadToTheSignal) {
  // Signal 3, noise -2: whoever predicts them exactly must end at the signal.
  for (const std::string sampler : {"euler", "euler-karras", "dpm++2m", "dpm++2m-karras"}) {
    for (const std::string model : {"sd15", "sd21-768"}) {
      const SchedulerConfig config = ConfigOf(model, sampler).scheduler;
      const SamplerSchedule schedule = MakeSamplerSchedule(config, 12, Alphas());
      double latents = 0;
      double history = 0;
      for (std::size_t i = 0; i < schedule.steps.size(); ++i) {
        const SamplerStep& step = schedule.steps[i];
        const bool is_velocity = config.prediction == Prediction::kVelocity;
        // Euler scales by alpha; what DPM-Solver++ takes for the signal tells alpha.
        const double alpha = config.sampler == SamplerKind::kEuler ? step.input_scale
                             : is_velocity                         ? step.signal_latents
                                                                   : 1 / step.signal_latents;
        const double sigma = std::sqrt(1 - alpha * alpha);
        if (i == 0) latents = (alpha * 3 + sigma * -2) / step.input_scale;
        const double predicted = is_velocity ? alpha * -2 - sigma * 3 : -2;
        const double signal = step.signal_latents * latents + step.signal_predicted * predicted;
        EXPECT_NEAR(signal, 3, 1e-9) << sampler << ' ' << model << " step " << i;
        latents = step.next_latents * latents + step.next_predicted * predicted +
                  step.next_history * history;
        history = signal;
      }
      EXPECT_NEAR(latents, 3, 1e-9) << sampler << ' ' << model;
    }
  }
}

TEST(PipelineConfigTest, GuidanceDecidesHowManySamplesThereAre) {
  const auto config_with = [](const std::string& guidance) {
    json text = json::parse(KnownPipeline("tiny-sdxl").value());
    text["guidance"] = guidance;
    return PipelineConfigFromJson(text.dump(), "model");
  };
  EXPECT_EQ(ConfigOf("tiny-sdxl").guidance, Guidance::kNegativePrompt);
  EXPECT_EQ(config_with("prompt").PromptsPerPicture(), 2);
  EXPECT_EQ(config_with("prompt").SamplesPerPicture(), 2);
  EXPECT_EQ(config_with("zeros").PromptsPerPicture(), 1);
  EXPECT_EQ(config_with("zeros").SamplesPerPicture(), 2);
  EXPECT_EQ(config_with("none").SamplesPerPicture(), 1);
  EXPECT_EQ(RefusalWith("sdxl", [](json& text) { text["guidance"] = "both"; }),
            "model:/guidance: is \"both\", not none, prompt or zeros");
}

TEST(PipelineConfigTest, PictureTakesTheLastSteps) {
  json text = json::parse(KnownPipeline("tiny-sd15").value());
  text["step_count"] = 10;
  EXPECT_EQ(PipelineConfigFromJson(text.dump(), "model").DoneStepCount(), 10);
  text["picture_step_count"] = 4;
  EXPECT_EQ(PipelineConfigFromJson(text.dump(), "model").DoneStepCount(), 4);
  text["picture_step_count"] = 11;
  EXPECT_THROW(PipelineConfigFromJson(text.dump(), "model"), InputError);
}

TEST(PipelineConfigTest, OnlySdxlTakesZerosForNoPromptUnlessItsIndexSaysOtherwise) {
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "index";
  std::filesystem::create_directories(folder);
  EXPECT_FALSE(TakesZerosForNoPrompt(folder, ConfigOf("tiny-sd15")));
  EXPECT_TRUE(TakesZerosForNoPrompt(folder, ConfigOf("tiny-sdxl")));
  std::ofstream(folder / "model_index.json") << R"({"force_zeros_for_empty_prompt": false})";
  EXPECT_FALSE(TakesZerosForNoPrompt(folder, ConfigOf("tiny-sdxl")));
  std::filesystem::remove_all(folder);
}

TEST(SamplerTest, LastStepsAreThoseOfTheWholeScheduleButForHistory) {
  std::vector<double> alphas(1000);
  for (std::size_t i = 0; i < alphas.size(); ++i) {
    alphas[i] = 1 - static_cast<double>(i + 1) / 1001;
  }
  for (const std::string sampler : {"ddim", "euler-karras", "dpm++2m"}) {
    const SchedulerConfig config = ConfigOf("sd15", sampler).scheduler;
    const SamplerSchedule whole = MakeSamplerSchedule(config, 10, alphas);
    const SamplerSchedule last = MakeSamplerSchedule(config, 10, alphas, 6);
    ASSERT_THAT(last.steps, SizeIs(4));
    for (std::size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(last.steps[i].timestep, whole.steps[i + 6].timestep);
      EXPECT_EQ(last.steps[i].input_scale, whole.steps[i + 6].input_scale);
      EXPECT_EQ(last.steps[i].next_history, i == 0 ? 0 : whole.steps[i + 6].next_history);
    }
    // Signal and noise as the first step takes them: its latents have variance 1 once scaled.
    const double scale = last.steps[0].input_scale;
    EXPECT_NEAR(std::hypot(scale * last.picture_scale, scale * last.picture_noise_scale), 1, 1e-9);
    EXPECT_LT(last.picture_noise_scale, whole.picture_noise_scale);
  }
}

}  // namespace
}  // namespace stint
