#include "files/lora.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "ir/errors.h"
#include "tests/files/stable_diffusion_names.h"

namespace stint {
namespace {

using testing::HasSubstr;

const std::string kModule = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q";

BaseWeights SizesOf(const PartTensors& parts) {
  BaseWeights sizes;
  for (const auto& [part, tensors] : parts) {
    for (const auto& [name, tensor] : tensors) sizes[part][name] = tensor.sizes;
  }
  return sizes;
}

/// An adapter of rank 1 for a weight [2, 3], under any name.
TensorMap Adapter(SmallTensors& values, const std::string& down, const std::string& up) {
  return {{down, values.Make({1, 3})}, {up, values.Make({2, 1})}};
}

LoraFile Parse(const TensorMap& tensors, const Metadata& metadata = {}) {
  return ParseLora(tensors, metadata, "l").value();
}

TEST(LoraTest, ReadsBothStylesAndWritesThemAgain) {
  SmallTensors values(1);
  const BaseWeights base = SizesOf(SdxlTensors(values));
  const TensorMap peft =
      Adapter(values, "unet." + kModule + ".lora_A.weight", "unet." + kModule + ".lora_B.weight");
  auto modules = ResolveLora(Parse(peft), base, ModelFamily::kSdxl, "l");
  ASSERT_EQ(modules.size(), 1U);
  EXPECT_EQ(modules[0].module, kModule);
  EXPECT_EQ(modules[0].pair.alpha, 1);  // The rank.
  modules[0].pair.alpha = 0.5;

  const TensorMap kohya = values.Keep(LoraTensors(modules, LoraStyle::kKohya, ModelFamily::kSdxl));
  const std::string name = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q";
  ASSERT_EQ(kohya.size(), 3U);
  EXPECT_EQ(kohya.count(name + ".alpha"), 1U);
  const auto again = ResolveLora(Parse(kohya), base, ModelFamily::kSdxl, "l");
  ASSERT_EQ(again.size(), 1U);
  EXPECT_EQ(again[0].module, kModule);
  EXPECT_EQ(again[0].pair.alpha, 0.5);
  EXPECT_TRUE(std::ranges::equal(again[0].pair.up.data, modules[0].pair.up.data));

  // PEFT's style keeps the alpha in the metadata.
  const TensorMap peft_again =
      values.Keep(LoraTensors(again, LoraStyle::kPeft, ModelFamily::kSdxl));
  const LoraFile last = Parse(peft_again, LoraMetadata(again, LoraStyle::kPeft));
  EXPECT_EQ(last.style, LoraStyle::kPeft);
  EXPECT_EQ(last.pairs[0].alpha, 0.5);
}

TEST(LoraTest, FindsModulesByTheirOriginalNamesAndInTextEncoders) {
  SmallTensors values(1);
  const BaseWeights base = SizesOf(SdxlTensors(values));
  TensorMap tensors;
  // input_blocks.4 is the first resnet of the second level, 4.1 its attention.
  for (const std::string name : {"lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q",
                                 "lora_te1_text_model_encoder_layers_11_self_attn_q_proj",
                                 "lora_te2_text_model_encoder_layers_31_mlp_fc1"}) {
    tensors.merge(Adapter(values, name + ".lora_down.weight", name + ".lora_up.weight"));
  }
  std::vector<std::string> found;
  for (const LoraModule& module : ResolveLora(Parse(tensors), base, ModelFamily::kSdxl, "l")) {
    found.push_back(std::string(NameOf(module.component)) + ":" + module.module);
  }
  EXPECT_THAT(found,
              testing::UnorderedElementsAre(
                  "unet:" + kModule, "text_encoder:text_model.encoder.layers.11.self_attn.q_proj",
                  "text_encoder_2:text_model.encoder.layers.31.mlp.fc1"));
}

TEST(LoraTest, EveryMatrixOfTheUnetHasOneNameInEachStyle) {
  SmallTensors values(1);
  for (const PartTensors& parts : {Sd15Tensors(values), SdxlTensors(values)}) {
    const ModelFamily family = DetectDiffusers(parts, "m");
    std::vector<LoraModule> modules;
    for (const auto& [name, tensor] : parts.at(ModelPart::kUnet)) {
      if (tensor.sizes.size() != 2) continue;
      modules.push_back({ModelPart::kUnet,
                         name.substr(0, name.size() - 7),
                         {.down = values.Make({1, tensor.sizes[1]}),
                          .up = values.Make({tensor.sizes[0], 1}),
                          .alpha = 1}});
    }
    for (const LoraStyle style : {LoraStyle::kPeft, LoraStyle::kKohya}) {
      const TensorMap tensors = values.Keep(LoraTensors(modules, style, family));
      const auto resolved = ResolveLora(Parse(tensors), SizesOf(parts), family, "l");
      std::set<std::string> names;
      for (const LoraModule& module : resolved) names.insert(module.module);
      EXPECT_EQ(names.size(), modules.size());
    }
  }
}

std::string Refusal(const TensorMap& tensors, const BaseWeights& base) {
  try {
    ResolveLora(Parse(tensors), base, ModelFamily::kSd1, "l");
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(LoraTest, NamesTheAdapterThatIsWrong) {
  SmallTensors values(1);
  const BaseWeights base = SizesOf(Sd15Tensors(values));
  const std::string name = "unet." + kModule;
  TensorMap tensors = Adapter(values, name + ".lora_A.weight", name + ".lora_B.weight");
  EXPECT_EQ(Refusal(tensors, base), "accepted");
  tensors[name + ".lora_A.weight"] = values.Make({1, 5});
  EXPECT_THAT(Refusal(tensors, base), HasSubstr("adapts 5 inputs to 2 outputs"));
  tensors[name + ".lora_A.weight"] = values.Make({4, 3});
  EXPECT_THAT(Refusal(tensors, base), HasSubstr("cannot be multiplied"));
  tensors.erase(name + ".lora_B.weight");
  EXPECT_EQ(Refusal(tensors, base), "l:" + name + ": lacks its up matrix");
  EXPECT_THAT(Refusal(Adapter(values, "unet.x.lora_A.weight", "unet.x.lora_B.weight"), base),
              HasSubstr("l:unet.x: is an adapter of a module that the model does not have"));
  EXPECT_EQ(ParseLora({{"conv_in.weight", values.Make({1})}}, {}, "l"), std::nullopt);
}

}  // namespace
}  // namespace stint
