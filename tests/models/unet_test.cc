#include "models/unet.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "models/random.h"
#include "tests/models/tiny_unet.h"

namespace stint {
namespace {

using testing::Each;
using testing::Pair;
using testing::SizeIs;

UnetConfig ConfigOf(const std::string& model) {
  Workload workload = TinyWorkload("train");
  workload.model = model;
  workload.config_json.clear();
  return UnetConfigFromJson(CompleteWorkload(workload).config_json, model);
}

std::map<std::string, at::Tensor> RandomWeights(const std::vector<WeightSpec>& specs,
                                                at::ScalarType dtype) {
  std::map<std::string, at::Tensor> weights;
  for (const WeightSpec& spec : specs) {
    const at::Tensor value = at::empty(spec.sizes, at::kFloat);
    FillBell(RandomKey(0, spec.name), 0.1, value);
    if (spec.sizes.size() == 1 && spec.name.ends_with(".weight")) value.add_(1);
    weights[spec.name] = value.to(dtype);
  }
  return weights;
}

at::Tensor RandomTensor(const std::string& name, at::IntArrayRef sizes, at::ScalarType dtype) {
  const at::Tensor value = at::empty(sizes, at::kFloat);
  FillBell(RandomKey(1, name), 1, value);
  return value.to(dtype);
}

/// Fixed inputs of two 64x64 images.
UnetInputs InputsFor(const UnetConfig& config, at::ScalarType dtype) {
  UnetInputs inputs;
  inputs.latents = RandomTensor("latents", {2, 4, 8, 8}, dtype);
  inputs.timesteps = at::arange(2, at::kLong).mul(700);
  inputs.text_states = RandomTensor("text_states", {2, 7, config.cross_attention_size}, dtype);
  if (config.HasAddition()) {
    inputs.pooled_text = RandomTensor("pooled_text", {2, config.pooled_text_size}, dtype);
    inputs.time_ids = at::arange(2 * kTimeIdCount, at::kFloat).view({2, kTimeIdCount});
  }
  return inputs;
}

/// Runs the tiny UNet on fixed inputs.
at::Tensor RunTiny(const UnetOptions& options, const FindWeight& find_weight, at::ScalarType dtype,
                   const UnetConfig& config = ConfigOf("tiny-unet")) {
  return RunUnet(config, options, find_weight, InputsFor(config, dtype));
}

class UnetTest : public testing::Test {
 protected:
  // Threads that share tiny ops spend their time waiting for each other.
  void SetUp() override { at::set_num_threads(1); }
};

TEST_F(UnetTest, Sd15Has859520964ParametersIn686Tensors) {
  const auto weights = UnetWeights(ConfigOf("sd15-unet"));
  EXPECT_THAT(weights, SizeIs(686));
  EXPECT_EQ(ParameterCount(weights), 859'520'964);
}

TEST_F(UnetTest, Sd21Has865910724ParametersIn686Tensors) {
  for (const std::string model : {"sd21-unet", "sd21-768-unet"}) {
    const auto weights = UnetWeights(ConfigOf(model));
    EXPECT_THAT(weights, SizeIs(686));
    EXPECT_EQ(ParameterCount(weights), 865'910'724);
    EXPECT_EQ(ConfigOf(model).has_upcast_attention, model == "sd21-768-unet");
  }
}

TEST_F(UnetTest, SdxlHas2567463684ParametersIn1680Tensors) {
  const auto weights = UnetWeights(ConfigOf("sdxl-unet"));
  EXPECT_THAT(weights, SizeIs(1680));
  EXPECT_EQ(ParameterCount(weights), 2'567'463'684);
}

TEST_F(UnetTest, TinyOnesHaveTheSameTensorsAndFewParameters) {
  for (const auto& [tiny, real] : {std::pair{"tiny-unet", "sd15-unet"},
                                   {"tiny-sd21-unet", "sd21-768-unet"},
                                   {"tiny-sdxl-unet", "sdxl-unet"}}) {
    const auto weights = UnetWeights(ConfigOf(tiny));
    const auto real_weights = UnetWeights(ConfigOf(real));
    ASSERT_EQ(weights.size(), real_weights.size());
    for (std::size_t i = 0; i < weights.size(); ++i) {
      EXPECT_EQ(weights[i].name, real_weights[i].name);
      EXPECT_EQ(weights[i].sizes.size(), real_weights[i].sizes.size()) << weights[i].name;
    }
    EXPECT_LT(ParameterCount(weights), 4'000'000);
  }
}

TEST_F(UnetTest, AdaptsFourProjectionsOfEachOf32Attentions) {
  const auto adapters = UnetAdapters(ConfigOf("sd15-unet"), 8);
  EXPECT_THAT(adapters, SizeIs(32 * 4 * 2));
  EXPECT_EQ(ParameterCount(adapters), 1'594'368);  // As PEFT counts them at rank 8.
  // SDXL: transformer blocks 2 x (2 + 10) down, 10 in the middle, 3 x (10 + 2) up, two attentions
  // in each.
  EXPECT_THAT(UnetAdapters(ConfigOf("sdxl-unet"), 8), SizeIs(2 * 70 * 4 * 2));
}

TEST_F(UnetTest, UsesEveryWeightOnceAndInTheOrderOfTheList) {
  for (const std::string model : {"tiny-unet", "tiny-sd21-unet", "tiny-sdxl-unet"}) {
    const UnetConfig config = ConfigOf(model);
    const auto specs = UnetWeights(config);
    const auto weights = RandomWeights(specs, at::kFloat);
    std::vector<std::string> used;
    const FindWeight find = [&](const std::string& name) {
      used.push_back(name);
      return weights.at(name);
    };
    RunTiny({.attention = AttentionKind::kCpu}, find, at::kFloat, config);

    ASSERT_EQ(used.size(), specs.size());
    // The two arguments of one call may be looked up in any order: compare their modules.
    for (std::size_t i = 0; i < specs.size(); ++i) {
      EXPECT_EQ(used[i].substr(0, used[i].rfind('.')),
                specs[i].name.substr(0, specs[i].name.rfind('.')));
    }
    EXPECT_THAT(std::set<std::string>(used.begin(), used.end()), SizeIs(specs.size()));
  }
}

TEST_F(UnetTest, UpcastAttentionHasScoresThatFloat16HasNot) {
  // 8 products of 300 * 300, divided by sqrt(8): 254558, above float16's 65504.
  const at::Tensor hidden = at::full({1, 4, 8}, 300, at::kHalf);
  const auto attend = [&](bool has_float32_scores) {
    return Attend(AttentionKind::kMath, hidden, hidden, hidden,
                  {.has_float32_scores = has_float32_scores});
  };
  EXPECT_TRUE(at::isnan(attend(false)).all().item<bool>());
  EXPECT_EQ(attend(true).scalar_type(), at::kHalf);
  EXPECT_EQ(MaxDifference(attend(true), hidden), 0);
}

TEST_F(UnetTest, GradientsAgreeWithDifferences) {
  const UnetConfig config = ConfigOf("tiny-unet");
  auto weights = RandomWeights(UnetWeights(config), at::kDouble);
  const FindWeight find = [&](const std::string& name) { return weights.at(name); };
  const auto loss = [&] {
    return RunTiny({.attention = AttentionKind::kMath}, find, at::kDouble, config).square().mean();
  };
  for (auto& [name, weight] : weights) weight.set_requires_grad(true);
  loss().backward();

  // Along a random direction d of all weights, the slope is the sum of gradient * d.
  constexpr double kStep = 1e-5;
  std::map<std::string, at::Tensor> direction;
  double slope = 0;
  for (auto& [name, weight] : weights) {
    direction[name] = RandomTensor(name, weight.sizes(), at::kDouble);
    slope += at::sum(at::mul(weight.grad(), direction[name])).item<double>();
  }
  const at::NoGradGuard no_grad;
  for (auto& [name, weight] : weights) weight.add_(direction[name], kStep);
  const double above = loss().item<double>();
  for (auto& [name, weight] : weights) weight.sub_(direction[name], 2 * kStep);
  const double below = loss().item<double>();
  EXPECT_NEAR((above - below) / (2 * kStep), slope, 1e-5 * std::abs(slope));
}

TEST_F(UnetTest, MathAndCpuAttentionAgree) {
  const auto weights = RandomWeights(UnetWeights(ConfigOf("tiny-unet")), at::kFloat);
  const FindWeight find = [&](const std::string& name) { return weights.at(name); };
  const at::Tensor math = RunTiny({.attention = AttentionKind::kMath}, find, at::kFloat);
  const at::Tensor cpu = RunTiny({.attention = AttentionKind::kCpu}, find, at::kFloat);
  EXPECT_LT(MaxDifference(math, cpu), 1e-4 * math.abs().max().item<double>());
}

TEST_F(UnetTest, AdaptersActAsTheirProductAddedToTheWeight) {
  const UnetConfig config = ConfigOf("tiny-unet");
  auto weights = RandomWeights(UnetWeights(config), at::kFloat);
  const auto adapters = RandomWeights(UnetAdapters(config, 4), at::kFloat);
  const FindWeight find = [&](const std::string& name) {
    return name.find("lora_") == std::string::npos ? weights.at(name) : adapters.at(name);
  };
  const at::Tensor adapted =
      RunTiny({.attention = AttentionKind::kCpu, .has_adapters = true}, find, at::kFloat);
  const at::Tensor plain = RunTiny({.attention = AttentionKind::kCpu}, find, at::kFloat);
  for (const auto& [name, adapter] : adapters) {
    const std::string suffix = ".lora_A.weight";
    if (!name.ends_with(suffix)) continue;
    const std::string module = name.substr(0, name.size() - suffix.size());
    weights.at(module + ".weight").add_(at::mm(adapters.at(module + ".lora_B.weight"), adapter));
  }
  const at::Tensor merged = RunTiny({.attention = AttentionKind::kCpu}, find, at::kFloat);

  const double scale = merged.abs().max().item<double>();
  EXPECT_LT(MaxDifference(adapted, merged), 1e-4 * scale);
  EXPECT_GT(MaxDifference(adapted, plain), 1e-2 * scale);
}

TEST(AttentionTest, CausalQueriesSeeNoLaterKeys) {
  const at::Tensor hidden = RandomTensor("hidden", {2, 5, 8}, at::kFloat);
  at::Tensor changed = hidden.clone();
  changed.slice(1, 3).fill_(7);
  for (const AttentionKind kind : {AttentionKind::kCpu, AttentionKind::kMath}) {
    const AttentionShape shape = {.head_count = 2, .is_causal = true};
    const at::Tensor before = Attend(kind, hidden, hidden, hidden, shape);
    const at::Tensor after = Attend(kind, changed, changed, changed, shape);
    EXPECT_EQ(MaxDifference(before.slice(1, 0, 3), after.slice(1, 0, 3)), 0);
    EXPECT_GT(MaxDifference(before.slice(1, 3), after.slice(1, 3)), 0.1);
    // The first query sees its own key only.
    EXPECT_LT(MaxDifference(before.slice(1, 0, 1), hidden.slice(1, 0, 1)), 1e-6);
  }
}

TEST(AttentionTest, IsRefusedWhereItsKernelIsMissing) {
  EXPECT_THROW(AttentionKindFromName("fast"), InputError);
  EXPECT_THROW(CheckAttention(AttentionKind::kFlash, at::kCPU, at::kBFloat16), InputError);
  EXPECT_THROW(CheckAttention(AttentionKind::kCpu, at::kCUDA, at::kFloat), InputError);
  EXPECT_THROW(CheckAttention(AttentionKind::kCudnn, at::kCUDA, at::kFloat), InputError);
  CheckAttention(AttentionKind::kEfficient, at::kCUDA, at::kFloat);
  CheckAttention(AttentionKind::kMath, at::kCPU, at::kFloat);
}

}  // namespace
}  // namespace stint
