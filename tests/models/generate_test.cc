#include "models/generate.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "dispatch/capture.h"
#include "dispatch/device_runtime.h"
#include "executor/verify.h"
#include "ir/report.h"
#include "models/generation_inputs.h"
#include "planner/make_plan.h"
#include "simulator/simulator.h"
#include "tests/models/tiny_unet.h"

namespace stint {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

Workload TinyGenerate(const std::string& model, const std::string& sampler,
                      std::int64_t step_count = 3) {
  return CompleteWorkload({.model = model,
                           .task = "generate",
                           .dtype = "float32",
                           .attention = "cpu",
                           .batch_count = 1,
                           .height_px = 64,
                           .width_px = 64},
                          {.sampler = sampler, .step_count = step_count});
}

EagerHost RunTask(const Workload& workload) {
  EagerHost host(LoadFromSeeds);
  host.Run(BuildProgram(workload));
  return host;
}

TEST(GenerateTest, HasThreePhasesAndTwoResults) {
  const EagerHost host = RunTask(TinyGenerate("tiny-sd15", "ddim"));
  EXPECT_THAT(host.phases(),
              ElementsAre(Pair("text_encode", 1), Pair("denoise", 3), Pair("decode", 1)));
  EXPECT_THAT(host.marks(), ElementsAre("image", "latents"));
  const at::Tensor& image = host.results().at("image");
  EXPECT_THAT(image.sizes(), ElementsAre(1, 64, 64, 3));
  EXPECT_EQ(image.scalar_type(), at::kByte);
}

TEST(GenerateTest, DeclaresNoWeightThatNothingNeeds) {
  const EagerHost host = RunTask(TinyGenerate("tiny-sdxl", "euler"));
  const auto& persistent = host.persistent();
  EXPECT_TRUE(persistent.contains("vae.decoder.conv_in.weight"));
  EXPECT_FALSE(persistent.contains("vae.encoder.conv_in.weight"));
  // SDXL takes the states before the last of the first encoder's three layers.
  EXPECT_TRUE(persistent.contains("text_encoder.text_model.encoder.layers.1.mlp.fc1.weight"));
  EXPECT_FALSE(persistent.contains("text_encoder.text_model.encoder.layers.2.mlp.fc1.weight"));
  EXPECT_TRUE(persistent.contains("text_encoder_2.text_projection.weight"));
}

TEST(GenerateTest, RunsTwiceWithTheSameResult) {
  const Program program = BuildProgram(TinyGenerate("tiny-sd21", "dpm++2m"));
  EagerHost host(LoadFromSeeds);
  host.Run(program);
  const at::Tensor latents = host.results().at("latents");
  host.Run(program);
  EXPECT_TRUE(at::equal(latents, host.results().at("latents")));
}

TEST(GenerateTest, PaintsTheSameInChannelsLast) {
  Workload workload = TinyGenerate("tiny-sdxl", "euler");
  const EagerHost nchw = RunTask(workload);
  workload.layout = "nhwc";
  const EagerHost nhwc = RunTask(workload);
  const auto is_channels_last = [](const EagerHost& host, const char* name) {
    return host.persistent().at(name).is_contiguous(at::MemoryFormat::ChannelsLast);
  };
  EXPECT_FALSE(is_channels_last(nchw, "unet.down_blocks.0.resnets.0.conv1.weight"));
  EXPECT_TRUE(is_channels_last(nhwc, "unet.down_blocks.0.resnets.0.conv1.weight"));
  EXPECT_FALSE(is_channels_last(nhwc, "vae.decoder.conv_in.weight"));
  const at::Tensor& expected = nchw.results().at("latents");
  EXPECT_LT(MaxDifference(nhwc.results().at("latents"), expected),
            1e-4 * expected.abs().max().item<double>());
}

TEST(GenerationInputsTest, SayWhatTheUserSaid) {
  // Ids: a, a at a word's end, start, end.
  const ClipTokenizer tokenizer(R"({"a": 0, "a</w>": 1, "<|startoftext|>": 2, "<|endoftext|>": 3})",
                                "", "tokenizer");
  const Workload workload = TinyGenerate("tiny-sdxl", "euler", 20);
  const auto load = [&](std::uint64_t seed, const std::string& name, const at::Tensor& value) {
    const auto source = MakeGenerationInputs(
        workload, {.prompt = "aa a", .guidance_scale = 4, .seed = seed}, {tokenizer, tokenizer});
    source->Load({.name = name, .role = BufferRole::kInput}, value);
    return value;
  };
  const auto load_ids = [&](const std::string& name) {
    return load(0, name, at::empty({2, 77}, at::kLong)).slice(1, 0, 6);
  };
  for (const std::string name : {"token_ids", "token_ids_2"}) {
    const at::Tensor expected = at::full({2, 6}, 3, at::kLong);  // Ends, which pad.
    expected.select(1, 0).fill_(2);                              // Starts.
    const at::Tensor prompt = expected[1];                       // Behind the empty negative one.
    prompt[1].fill_(0);
    prompt.slice(0, 2, 4).fill_(1);
    EXPECT_TRUE(at::equal(load_ids(name), expected));
  }
  const at::Tensor time_ids = load(0, "time_ids", at::empty({2, 6}));
  EXPECT_EQ(time_ids[1][0].item<float>(), 64);
  EXPECT_EQ(time_ids[1][2].item<float>(), 0);
  EXPECT_EQ(load(0, "guidance_scale", at::empty({})).item<float>(), 4);
  const at::Tensor steps = load(0, "sampler_steps", at::empty({20, 7}));
  EXPECT_EQ(steps[0][0].item<float>(), 951);  // 19 * (1000 / 20) + 1
  const at::Tensor noise = load(0, "noise", at::empty({1, 4, 8, 8}));
  EXPECT_TRUE(at::equal(noise, load(0, "noise", at::empty({1, 4, 8, 8}))));
  EXPECT_FALSE(at::equal(noise, load(1, "noise", at::empty({1, 4, 8, 8}))));
  EXPECT_NEAR(noise.std().item<double>(), 1, 0.2);
}

struct PlannedCase {
  const char* model = nullptr;
  const char* sampler = nullptr;
  const char* layout = nullptr;
};

class PlannedGeneration : public testing::TestWithParam<PlannedCase> {};

TEST_P(PlannedGeneration, EqualsTheUnplannedRunBitForBit) {
  Workload workload = TinyGenerate(GetParam().model, GetParam().sampler);
  workload.layout = GetParam().layout;
  const Program program = BuildProgram(workload);
  const std::unique_ptr<DeviceRuntime> runtime = MakeDeviceRuntime("cpu");
  const LoadValue load = LoadFromSeeds;
  const Results expected = RunUnplanned(program, *runtime, load);
  Profile profile = CaptureProgram(program, *runtime, {});
  profile.workload = workload;
  profile.device = runtime->Describe();
  profile.is_deterministic = true;
  Validate(profile);

  const auto verify = [&](const Plan& plan) {
    const Report predicted = Simulate(profile, plan);
    const Report measured = ExecuteAndVerify(profile, plan, *runtime, load, expected,
                                             {.iteration_count = 1, .poison = true});
    EXPECT_THAT(measured.verification->differing, IsEmpty());
    EXPECT_EQ(measured.verification->output_count, 2);
    EXPECT_EQ(FirstMemoryDifference(predicted, measured), "");
    EXPECT_EQ(measured.served.mismatch_count, 0);
  };
  const PlanAnswer whole = MakePlan(profile, {.has_budget = false, .solver = "keep-all"});
  ASSERT_TRUE(whole.plan.has_value());
  verify(*whole.plan);
  // Little is kept that could be made again, so no budget is much smaller than this.
  const std::int64_t whole_bytes = whole.plan->budget_bytes;
  const std::int64_t least_bytes = MakePlan(profile, {.budget_bytes = 1}).min_budget_bytes;
  EXPECT_GT(least_bytes, whole_bytes - whole_bytes / 20);
  const PlanAnswer within = MakePlan(profile, {.budget_bytes = whole_bytes});
  ASSERT_TRUE(within.plan.has_value()) << within.binding;
  verify(*within.plan);
}

INSTANTIATE_TEST_SUITE_P(Models, PlannedGeneration,
                         testing::Values(PlannedCase{"tiny-sd15", "ddim", "nchw"},
                                         PlannedCase{"tiny-sdxl", "dpm++2m", "nchw"},
                                         PlannedCase{"tiny-sd21", "euler", "nhwc"}),
                         [](const testing::TestParamInfo<PlannedCase>& planned) {
                           return std::string(planned.param.model).substr(5);
                         });

}  // namespace
}  // namespace stint
