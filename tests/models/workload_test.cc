#include "models/workload.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <functional>
#include <memory>
#include <string>

#include "dispatch/capture.h"
#include "dispatch/device_runtime.h"
#include "models/noise_schedule.h"
#include "models/unet.h"
#include "tests/models/tiny_unet.h"

namespace stint {
namespace {

using testing::ElementsAre;
using testing::Pair;

EagerHost RunTask(const Workload& workload) {
  EagerHost host(LoadFromSeeds);
  host.Run(BuildProgram(workload));
  return host;
}

std::string Refusal(const Workload& workload) {
  try {
    CompleteWorkload(workload);
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(CompleteWorkloadTest, TakesTheConfigurationFromAFile) {
  const std::string path = testing::TempDir() + "/unet_config.json";
  std::ofstream(path) << TinyWorkload("train").config_json;
  Workload workload = TinyWorkload("train");
  workload.model = path;
  workload.config_json.clear();
  workload = CompleteWorkload(workload);
  EXPECT_EQ(workload.model, "unet_config.json");
  EXPECT_EQ(workload.config_json, TinyWorkload("train").config_json);
  EXPECT_EQ(workload.config_json.find('\n'), std::string::npos);
}

TEST(CompleteWorkloadTest, IsTheIdentityOnACompleteWorkload) {
  const Workload workload = TinyWorkload("train");
  EXPECT_EQ(CompleteWorkload(workload).config_json, workload.config_json);
}

TEST(CompleteWorkloadTest, NamesTheFlagThatIsWrong) {
  const auto refusal_with = [](const std::function<void(Workload&)>& change) {
    Workload workload = TinyWorkload("train");
    change(workload);
    return Refusal(workload);
  };
  EXPECT_EQ(refusal_with([](Workload& w) { w.height_px = 96; }),
            "--height: is 96, not a multiple of 64");
  EXPECT_EQ(refusal_with([](Workload& w) { w.width_px = 0; }),
            "--width: is 0, not from 64 to 16384");
  EXPECT_EQ(refusal_with([](Workload& w) { w.batch_count = 0; }),
            "--batch: is 0, not from 1 to 4096");
  EXPECT_EQ(refusal_with([](Workload& w) { w.lora_rank = 4; }),
            "--lora-rank: is 4, not from 0 to 0");
  EXPECT_EQ(refusal_with([](Workload& w) { w.task = "train-lora"; }),
            "--lora-rank: is 0, not from 1 to 4096");
  EXPECT_EQ(refusal_with([](Workload& w) { w.dtype = "int8"; }),
            "--dtype: is 'int8', not float32, bfloat16 or float16");
  EXPECT_EQ(refusal_with([](Workload& w) { w.dtype = "float16"; }),
            "--dtype: is 'float16', whose range is too small for gradients and moments");
  EXPECT_EQ(refusal_with([](Workload& w) { w.attention = ""; }),
            "--attention: is '', not flash, cudnn, efficient, math or cpu");
  EXPECT_EQ(refusal_with([](Workload& w) { w.layout = "hwcn"; }),
            "--layout: is 'hwcn', not nchw or nhwc");
  EXPECT_EQ(refusal_with([](Workload& w) { w.autocast = "float16"; }),
            "--autocast: is 'float16', not bfloat16");
  EXPECT_EQ(refusal_with([](Workload& w) {
              w.autocast = "bfloat16";
              w.dtype = "bfloat16";
            }),
            "--autocast: is for weights in float32, not bfloat16");
  EXPECT_EQ(refusal_with([](Workload& w) { w.rounding = "down"; }),
            "--rounding: is 'down', not nearest or stochastic");
  EXPECT_EQ(refusal_with([](Workload& w) { w.rounding = "stochastic"; }),
            "--rounding: is stochastic, but weights are float32");
  EXPECT_EQ(refusal_with([](Workload& w) { w.clip_norm = -1; }),
            "--clip-norm: is -1, not a positive number");
  EXPECT_EQ(refusal_with([](Workload& w) { w.task = "sample"; }),
            "--task: is 'sample', not train, train-lora, denoise or generate");
  EXPECT_EQ(refusal_with([](Workload& w) {
              w.model = "sd3";
              w.config_json.clear();
            }),
            "--model: is 'sd3', not a config.json or one of sd15-unet, sd21-768-unet, sd21-unet, "
            "sdxl-unet, tiny-sd21-unet, tiny-sdxl-unet, tiny-unet");
  EXPECT_EQ(refusal_with([](Workload& w) { w.prediction = "sample"; }),
            "--prediction: is 'sample', not epsilon or v_prediction");
}

TEST(ChooseKernelsTest, FillsWhatIsEmptyAndNothingElse) {
  Workload workload = TinyWorkload("train");
  workload.attention.clear();
  workload.layout.clear();
  EXPECT_EQ(ChooseKernels(workload, at::kCPU).attention, "cpu");
  EXPECT_EQ(ChooseKernels(workload, at::kCPU).layout, "nchw");
  workload.attention = "math";
  workload.layout = "nhwc";
  EXPECT_EQ(ChooseKernels(workload, at::kCPU).attention, "math");
  EXPECT_EQ(ChooseKernels(workload, at::kCPU).layout, "nhwc");
}

TEST(ProgramTest, RefusesAttentionThatTheDeviceDoesNotHave) {
  Workload workload = TinyWorkload("train");
  workload.attention = "efficient";
  const Program program = BuildProgram(workload);
  EagerHost host(LoadFromSeeds);
  EXPECT_THROW(host.Run(program), InputError);
}

TEST(TrainTest, HasOnePhaseForEachKindOfMicroStep) {
  Workload workload = TinyWorkload("train-lora");
  EXPECT_THAT(RunTask(workload).phases(), ElementsAre(Pair("step", 1)));
  workload.micro_step_count = 2;
  EXPECT_THAT(RunTask(workload).phases(), ElementsAre(Pair("first", 1), Pair("last", 1)));
  workload.micro_step_count = 4;
  EXPECT_THAT(RunTask(workload).phases(),
              ElementsAre(Pair("first", 1), Pair("middle", 2), Pair("last", 1)));
}

TEST(TrainTest, MarksTheLossAndEachGradientInTheOrderOfBackward) {
  const Workload workload = TinyWorkload("train");
  const EagerHost host = RunTask(workload);
  auto specs = UnetWeights(UnetConfigFromJson(workload.config_json, "tiny"));
  std::vector<std::string> expected = {"loss"};
  for (auto spec = specs.rbegin(); spec != specs.rend(); ++spec) {
    expected.push_back("grad:" + spec->name);
  }
  EXPECT_EQ(host.marks(), expected);
  for (const auto& [name, value] : host.results()) {
    EXPECT_TRUE(at::isfinite(value).all().item<bool>()) << name;
    EXPECT_GT(value.abs().max().item<double>(), 0) << name;
  }
}

TEST(TrainTest, UpdatesEachWeightByAdamW) {
  const EagerHost host = RunTask(TinyWorkload("train"));
  const auto& persistent = host.persistent();
  EXPECT_EQ(persistent.at("step").item<float>(), 1);
  for (const auto& [key, gradient] : host.results()) {
    if (key == "loss") continue;
    const std::string name = key.substr(5);
    // First step: the bias-corrected moments are g and g^2.
    // w * (1 - 1e-5 * 1e-2) - 1e-5 * g / (|g| + 1e-8)
    at::Tensor weight = at::empty_like(gradient);
    LoadFromSeeds({.name = name, .role = BufferRole::kWeight}, weight);
    weight = weight * (1 - 1e-7) - gradient / (gradient.abs() + 1e-8) * 1e-5;
    EXPECT_LT(MaxDifference(persistent.at(name), weight), 2e-7) << name;
    const double scale = gradient.abs().max().item<double>();
    EXPECT_LT(MaxDifference(persistent.at(name + ".exp_avg"), gradient * 0.1), 1e-6 * scale);
    EXPECT_LT(MaxDifference(persistent.at(name + ".exp_avg_sq"), gradient.square() * 0.001),
              1e-8 * scale * scale);
  }
}

TEST(TrainTest, MicroStepsWithTheirOwnSamplesAddUpToOneStepWithAllOfThem) {
  Workload workload = TinyWorkload("train");
  workload.batch_count = 4;
  const EagerHost one = RunTask(workload);
  workload.batch_count = 1;
  workload.micro_step_count = 4;
  const EagerHost four = RunTask(workload);
  ASSERT_EQ(one.marks(), four.marks());
  // Sums over samples are taken in another order.
  for (const auto& [name, value] : one.results()) {
    EXPECT_LT(MaxDifference(value, four.results().at(name)),
              3e-5 * value.abs().max().item<double>())
        << name;
  }
}

TEST(TrainTest, UpdatesInGroupsAsOneByOne) {
  Workload workload = TinyWorkload("train");
  const EagerHost one_by_one = RunTask(workload);
  workload.update_group_bytes = 100'000;
  const EagerHost in_groups = RunTask(workload);
  EXPECT_EQ(in_groups.marks(), one_by_one.marks());
  for (const auto& [name, value] : one_by_one.persistent()) {
    EXPECT_TRUE(at::equal(in_groups.persistent().at(name), value)) << name;
  }
}

TEST(TrainTest, ClipsTheGlobalNormOfAllGradients) {
  Workload workload = TinyWorkload("train");
  workload.update_group_bytes = 100'000;
  const EagerHost plain = RunTask(workload);
  double square = 0;
  for (const auto& [key, gradient] : plain.results()) {
    if (key != "loss") square += gradient.to(at::kDouble).square().sum().item<double>();
  }
  const double norm = std::sqrt(square);

  for (const std::int64_t micro_step_count : {1, 2}) {  // Of the same two samples.
    workload.micro_step_count = micro_step_count;
    workload.batch_count = 2 / micro_step_count;
    workload.clip_norm = norm / 4;
    const EagerHost clipped = RunTask(workload);
    EXPECT_EQ(clipped.marks(), plain.marks());
    for (const auto& [key, gradient] : plain.results()) {
      if (key == "loss") continue;
      const at::Tensor expected = gradient * (norm / 4 / (norm + 1e-6));
      const double scale = expected.abs().max().item<double>();
      EXPECT_LT(MaxDifference(clipped.results().at(key), expected), 3e-5 * scale) << key;
      EXPECT_LT(MaxDifference(clipped.persistent().at(key.substr(5) + ".exp_avg"), expected * 0.1),
                3e-5 * scale);
    }
  }
}

TEST(TrainTest, LeavesSmallGradientsAsTheyAreWhenClipping) {
  Workload workload = TinyWorkload("train");
  const EagerHost plain = RunTask(workload);
  workload.clip_norm = 1e6;
  const EagerHost clipped = RunTask(workload);
  for (const auto& [name, value] : plain.persistent()) {
    EXPECT_TRUE(at::equal(clipped.persistent().at(name), value)) << name;
  }
}

/// Of all gradients together: the norm of the difference as a part of the norm of `expected`.
double GradientError(const EagerHost& actual, const EagerHost& expected) {
  double difference = 0;
  double square = 0;
  for (const auto& [key, gradient] : expected.results()) {
    if (key == "loss") continue;
    const at::Tensor wide = gradient.to(at::kDouble);
    difference += (actual.results().at(key).to(at::kDouble) - wide).square().sum().item<double>();
    square += wide.square().sum().item<double>();
  }
  return std::sqrt(difference / square);
}

TEST(TrainTest, AutocastIsAsExactAsLibTorchs) {
  Workload workload = TinyWorkload("train");
  const EagerHost wide = RunTask(workload);
  at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
  at::autocast::set_autocast_enabled(at::kCPU, true);
  const EagerHost libtorchs = RunTask(workload);
  at::autocast::set_autocast_enabled(at::kCPU, false);
  at::autocast::clear_cache();
  for (const char* layout : {"nchw", "nhwc"}) {
    workload.autocast = "bfloat16";
    workload.layout = layout;
    const EagerHost ours = RunTask(workload);
    EXPECT_EQ(ours.marks(), wide.marks());
    EXPECT_GT(GradientError(ours, wide), 1e-4) << "it does compute in half precision";
    EXPECT_LT(GradientError(ours, wide), 1.5 * GradientError(libtorchs, wide)) << layout;
    for (const auto& [key, value] : ours.results()) EXPECT_EQ(value.scalar_type(), at::kFloat);
    EXPECT_EQ(ours.persistent().at("conv_in.weight").scalar_type(), at::kFloat);
  }
}

TEST(TrainTest, AutocastKeepsFrozenWeightsInHalf) {
  Workload workload = TinyWorkload("train-lora");
  workload.autocast = "bfloat16";
  const EagerHost host = RunTask(workload);
  EXPECT_EQ(host.persistent().at("conv_in.weight").scalar_type(), at::kBFloat16);
  for (const auto& [key, gradient] : host.results()) {
    if (key == "loss") continue;
    EXPECT_EQ(gradient.scalar_type(), at::kFloat) << key;
    EXPECT_EQ(host.persistent().at(key.substr(5)).scalar_type(), at::kFloat) << key;
  }
}

class NhwcTest : public testing::TestWithParam<std::string> {};

TEST_P(NhwcTest, ChangesResultsByRoundingOnly) {
  Workload workload = TinyWorkload(GetParam());
  const EagerHost nchw = RunTask(workload);
  workload.layout = "nhwc";
  const EagerHost nhwc = RunTask(workload);
  EXPECT_EQ(nhwc.marks(), nchw.marks());
  for (const auto& [name, value] : nchw.results()) {
    EXPECT_LT(MaxDifference(nhwc.results().at(name), value),
              1e-5 * value.abs().max().item<double>() + 1e-9)
        << name;
  }
  const at::Tensor& weight = nhwc.persistent().at("mid_block.resnets.0.conv1.weight");
  EXPECT_TRUE(weight.is_contiguous(at::MemoryFormat::ChannelsLast));
  EXPECT_FALSE(weight.is_contiguous());
}

INSTANTIATE_TEST_SUITE_P(Tasks, NhwcTest, testing::Values("train", "train-lora", "denoise"),
                         [](const auto& instance) {
                           return instance.param == "train-lora" ? "train_lora" : instance.param;
                         });

TEST(TrainTest, LeavesNoAutogradStateBehind) {
  const Program program = BuildProgram(TinyWorkload("train"));
  EagerHost host(LoadFromSeeds);
  host.Run(program);
  for (const auto& [name, value] : host.persistent()) {
    EXPECT_FALSE(value.requires_grad()) << name;
    EXPECT_FALSE(value.grad().defined()) << name;
  }
  host.Run(program);
  EXPECT_EQ(host.persistent().at("step").item<float>(), 2);
}

TEST(TrainTest, LosesLessAfterThreeSteps) {
  const Program program = BuildProgram(TinyWorkload("train"));
  EagerHost host([](const Buffer& buffer, const at::Tensor& value) {
    LoadFromSeeds(buffer, value);
    if (buffer.name == "learning_rate") value.fill_(3e-3);
  });
  host.Run(program);
  const double first_loss = host.results().at("loss").item<double>();
  for (int i = 0; i < 3; ++i) host.Run(program);
  EXPECT_LT(host.results().at("loss").item<double>(), 0.9 * first_loss);
}

TEST(TrainTest, RunsInBfloat16Throughout) {
  Workload workload = TinyWorkload("train");
  const EagerHost float32 = RunTask(workload);
  workload.dtype = "bfloat16";
  const EagerHost bfloat16 = RunTask(workload);
  EXPECT_EQ(bfloat16.persistent().at("conv_in.weight.exp_avg").scalar_type(), at::kBFloat16);
  EXPECT_EQ(bfloat16.results().at("grad:conv_in.weight").scalar_type(), at::kBFloat16);
  EXPECT_EQ(bfloat16.results().at("loss").scalar_type(), at::kFloat);
  const double loss = float32.results().at("loss").item<double>();
  EXPECT_NEAR(bfloat16.results().at("loss").item<double>(), loss, 0.02 * loss);
}

TEST(TrainLoraTest, TrainsAdaptersAndNothingElse) {
  const Workload workload = TinyWorkload("train-lora");
  const EagerHost host = RunTask(workload);
  const auto adapters = UnetAdapters(UnetConfigFromJson(workload.config_json, "tiny"), 4);
  EXPECT_EQ(host.results().size(), adapters.size() + 1);
  for (const auto& [name, value] : host.persistent()) {
    if (host.roles().at(name) != BufferRole::kWeight) continue;
    at::Tensor fresh = at::empty_like(value);
    LoadFromSeeds({.name = name, .role = BufferRole::kWeight}, fresh);
    // B starts at 0, so the first gradient of A is 0 and only the decay acts on it.
    const bool is_trained = name.find(".lora_") != std::string::npos;
    EXPECT_EQ(!at::equal(value, fresh), is_trained) << name;
  }
}

TEST(TrainTest, LearnsTheVelocityWhereTheModelPredictsIt) {
  Workload workload = TinyWorkload("train");
  const EagerHost noise = RunTask(workload);
  workload.prediction = "v_prediction";
  const EagerHost velocity = RunTask(workload);
  EXPECT_NE(noise.results().at("loss").item<double>(),
            velocity.results().at("loss").item<double>());
  EXPECT_EQ(TinyWorkload("train", "sd21-768-unet").prediction, "v_prediction");
  EXPECT_EQ(TinyWorkload("train", "sd21-unet").prediction, "");
}

// Weights, moments and gradients of this step are 41 GB; its capture holds its largest op.
TEST(TrainTest, SdxlIsCapturedAtItsRealSize) {
  const std::unique_ptr<DeviceRuntime> runtime = MakeDeviceRuntime("cpu");
  Workload workload = TinyWorkload("train", "sdxl-unet");
  workload.batch_count = 1;
  const Profile profile = CaptureProgram(BuildProgram(workload), *runtime, {});
  std::int64_t weight_bytes = 0;
  std::int64_t gradient_count = 0;
  for (const Buffer& buffer : profile.buffers) {
    if (buffer.role == BufferRole::kWeight) weight_bytes += buffer.size_bytes;
    if (buffer.role == BufferRole::kGradient) ++gradient_count;
  }
  EXPECT_EQ(weight_bytes, 4 * 2'567'463'684);
  EXPECT_EQ(gradient_count, 1680);
}

TEST(DenoiseTest, GuidesAndSteps) {
  const Workload workload = TinyWorkload("denoise");
  const EagerHost host = RunTask(workload);
  EXPECT_THAT(host.phases(), ElementsAre(Pair("denoise", 1)));
  EXPECT_THAT(host.marks(), ElementsAre("latents"));
  const auto& persistent = host.persistent();
  EXPECT_FALSE(at::equal(persistent.at("latents"), host.results().at("latents")));

  // The same with one UNet call for each half.
  const UnetConfig config = UnetConfigFromJson(workload.config_json, "tiny");
  const at::Tensor timesteps = persistent.at("timestep").expand({2});
  const auto predict = [&](std::int64_t begin) {
    return RunUnet(config, {.attention = AttentionKind::kCpu},
                   [&](const std::string& name) { return persistent.at(name); },
                   {.latents = persistent.at("latents"),
                    .timesteps = timesteps,
                    .text_states = persistent.at("text_states").slice(0, begin, begin + 2)});
  };
  const at::Tensor without = predict(0);
  const at::Tensor noise = without + (predict(2) - without) * 7.5;
  const at::Tensor expected = persistent.at("latents") * persistent.at("latent_scale") +
                              noise * persistent.at("noise_scale");
  EXPECT_LT(MaxDifference(host.results().at("latents"), expected), 1e-5);
}

TEST(DenoiseTest, RunsInFloat16) {
  Workload workload = TinyWorkload("denoise");
  const EagerHost float32 = RunTask(workload);
  workload.dtype = "float16";
  const EagerHost float16 = RunTask(workload);
  EXPECT_EQ(float16.persistent().at("conv_in.weight").scalar_type(), at::kHalf);
  EXPECT_EQ(float16.results().at("latents").scalar_type(), at::kFloat);
  EXPECT_LT(MaxDifference(float16.results().at("latents"), float32.results().at("latents")), 1e-2);
}

TEST(NoiseScheduleTest, StepsFrom981To1) {
  EXPECT_EQ(MakeDdimStep(0, 50).timestep, 981);
  EXPECT_EQ(MakeDdimStep(1, 50).timestep, 961);
  EXPECT_EQ(MakeDdimStep(49, 50).timestep, 1);
}

TEST(NoiseScheduleTest, AStepKeepsTheDirectionOfSignalAndNoise) {
  // latent = sqrt(a) s + sqrt(1 - a) n becomes sqrt(b) s + sqrt(1 - b) n.
  const DdimStep step = MakeDdimStep(10, 50);
  const at::Tensor alphas = AlphasCumprod();
  const double a = alphas[step.timestep].item<double>();
  const double b = alphas[step.timestep - 20].item<double>();
  EXPECT_NEAR(step.latent_scale * std::sqrt(a), std::sqrt(b), 1e-12);
  EXPECT_NEAR(step.latent_scale * std::sqrt(1 - a) + step.noise_scale, std::sqrt(1 - b), 1e-12);
}

}  // namespace
}  // namespace stint
