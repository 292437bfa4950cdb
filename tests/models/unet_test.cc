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

std::int64_t CountOf(const std::vector<WeightSpec>& weights) {
  std::int64_t count = 0;
  for (const WeightSpec& weight : weights) count += c10::multiply_integers(weight.sizes);
  return count;
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

/// Runs the tiny UNet on fixed inputs of two 64x64 images.
at::Tensor RunTiny(const UnetOptions& options, const FindWeight& find_weight,
                   at::ScalarType dtype) {
  return RunUnet(ConfigOf("tiny-unet"), options, find_weight,
                 RandomTensor("latents", {2, 4, 8, 8}, dtype), at::arange(2, at::kLong).mul(700),
                 RandomTensor("text_states", {2, 7, 32}, dtype));
}

class UnetTest : public testing::Test {
 protected:
  // Threads that share tiny ops spend their time waiting for each other.
  void SetUp() override { at::set_num_threads(1); }
};

TEST_F(UnetTest, Sd15Has859520964ParametersIn686Tensors) {
  const auto weights = UnetWeights(ConfigOf("sd15-unet"));
  EXPECT_THAT(weights, SizeIs(686));
  EXPECT_EQ(CountOf(weights), 859'520'964);
}

TEST_F(UnetTest, TinyHasTheSameTensorsAndFewParameters) {
  const auto weights = UnetWeights(ConfigOf("tiny-unet"));
  const auto sd15_weights = UnetWeights(ConfigOf("sd15-unet"));
  ASSERT_EQ(weights.size(), sd15_weights.size());
  for (std::size_t i = 0; i < weights.size(); ++i) {
    EXPECT_EQ(weights[i].name, sd15_weights[i].name);
  }
  EXPECT_LT(CountOf(weights), 2'000'000);
}

TEST_F(UnetTest, AdaptsFourProjectionsOfEachOf32Attentions) {
  const auto adapters = UnetAdapters(ConfigOf("sd15-unet"), 8);
  EXPECT_THAT(adapters, SizeIs(32 * 4 * 2));
  EXPECT_EQ(CountOf(adapters), 1'594'368);  // As PEFT counts them at rank 8.
}

TEST_F(UnetTest, UsesEveryWeightOnceAndInTheOrderOfTheList) {
  const auto specs = UnetWeights(ConfigOf("tiny-unet"));
  const auto weights = RandomWeights(specs, at::kFloat);
  std::vector<std::string> used;
  const FindWeight find = [&](const std::string& name) {
    used.push_back(name);
    return weights.at(name);
  };
  RunTiny({.attention = AttentionKind::kCpu}, find, at::kFloat);

  ASSERT_EQ(used.size(), specs.size());
  // The two arguments of one call may be looked up in any order: compare their modules.
  for (std::size_t i = 0; i < specs.size(); ++i) {
    EXPECT_EQ(used[i].substr(0, used[i].rfind('.')),
              specs[i].name.substr(0, specs[i].name.rfind('.')));
  }
  EXPECT_THAT(std::set<std::string>(used.begin(), used.end()), SizeIs(specs.size()));
}

TEST_F(UnetTest, RunsWithLinearProjectionsAndSeveralTransformerBlocks) {
  UnetConfig config = ConfigOf("tiny-unet");
  config.has_linear_projection = true;
  config.down_blocks[1].transformer_count = 3;
  const auto specs = UnetWeights(config);
  const auto weights = RandomWeights(specs, at::kFloat);
  std::set<std::string> used;
  const FindWeight find = [&](const std::string& name) {
    used.insert(name);
    return weights.at(name);
  };
  const at::Tensor noise =
      RunUnet(config, {.attention = AttentionKind::kCpu}, find,
              RandomTensor("latents", {1, 4, 8, 16}, at::kFloat), at::zeros({1}, at::kLong),
              RandomTensor("text_states", {1, 7, 32}, at::kFloat));
  EXPECT_THAT(noise.sizes(), testing::ElementsAre(1, 4, 8, 16));
  EXPECT_THAT(used, SizeIs(specs.size()));
}

TEST_F(UnetTest, GradientsAgreeWithDifferences) {
  const auto specs = UnetWeights(ConfigOf("tiny-unet"));
  auto weights = RandomWeights(specs, at::kDouble);
  const FindWeight find = [&](const std::string& name) { return weights.at(name); };
  const auto loss = [&] {
    return RunTiny({.attention = AttentionKind::kMath}, find, at::kDouble).square().mean();
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
