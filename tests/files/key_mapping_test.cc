#include "files/key_mapping.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "files/checkpoint.h"
#include "ir/errors.h"
#include "tests/files/stable_diffusion_names.h"
#include "tests/support/temporary_folder.h"

namespace stint {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

bool AreEqual(const TensorMap& a, const TensorMap& b) {
  return std::ranges::equal(a, b, [](const auto& x, const auto& y) {
    return x.first == y.first && x.second.dtype == y.second.dtype &&
           x.second.sizes == y.second.sizes && std::ranges::equal(x.second.data, y.second.data);
  });
}

struct Case {
  std::string name{};
  ModelFamily family{};
  PartTensors (*make)(SmallTensors&) = nullptr;
  std::size_t unet_count = 0;
  std::size_t original_count = 0;
};

class KeyMappingOfModel : public testing::TestWithParam<Case> {};

// 16 tensors a text layer in diffusers, 12 in OpenCLIP with q, k and v fused; 4 more at the ends:
//     SD 1.x   686 + 248 + 12 * 16 + 4                               = 1130
//     SD 2.x   686 + 248 + 23 * 12 + 4                               = 1214
//     SDXL    1680 + 248 + 12 * 16 + 4 + 32 * 12 + 4 + 1 projection  = 2513
INSTANTIATE_TEST_SUITE_P(Models, KeyMappingOfModel,
                         testing::Values(Case{"sd15", ModelFamily::kSd1, Sd15Tensors, 686, 1130},
                                         Case{"sd21", ModelFamily::kSd2, Sd21Tensors, 686, 1214},
                                         Case{"sdxl", ModelFamily::kSdxl, SdxlTensors, 1680, 2513}),
                         [](const auto& test) { return test.param.name; });

TEST_P(KeyMappingOfModel, GoesToTheOriginalLayoutAndBackWithoutLoss) {
  SmallTensors values(1);
  const PartTensors parts = GetParam().make(values);
  EXPECT_EQ(parts.at(ModelPart::kUnet).size(), GetParam().unet_count);
  EXPECT_EQ(parts.at(ModelPart::kVae).size(), 248U);

  const KeyMapping there = MapDiffusers(parts, "m");
  const TensorMap original = values.Keep(ToOriginal(SourcesOf(parts), there, "m"));
  EXPECT_EQ(there.family, GetParam().family);
  EXPECT_EQ(original.size(), GetParam().original_count);

  const KeyMapping back = MapOriginal(original, "m.safetensors");
  EXPECT_EQ(back.family, GetParam().family);
  EXPECT_THAT(back.left_out, ElementsAre());
  PartTensors again;
  for (const auto& [part, sources] : ToDiffusers(original, back, "m.safetensors")) {
    again[part] = values.Keep(sources);
  }
  ASSERT_EQ(again.size(), parts.size());
  for (const auto& [part, tensors] : parts) {
    EXPECT_EQ(again.at(part).size(), tensors.size()) << NameOf(part);
    EXPECT_TRUE(AreEqual(again.at(part), tensors)) << NameOf(part);
  }
}

TEST_P(KeyMappingOfModel, OpensFromAFolderAndFromASingleFile) {
  SmallTensors values(2);
  const PartTensors parts = GetParam().make(values);
  const TemporaryFolder folder;
  const PartSources sources = SourcesOf(parts);
  WriteDiffusersFolder(folder / "model", sources, 2000);  // So small that all are sharded.
  WriteOriginal(folder / "model.safetensors", SourcesOf(parts), "model");
  EXPECT_TRUE(std::filesystem::exists(folder /
                                      "model/unet/diffusion_pytorch_model.safetensors.index.json"));

  for (const char* path : {"model", "model.safetensors"}) {
    const Checkpoint checkpoint = OpenCheckpoint(folder / path, "fp16");
    EXPECT_EQ(checkpoint.family, GetParam().family);
    ASSERT_EQ(checkpoint.components.size(), parts.size());
    for (const auto& [part, tensors] : parts) {
      EXPECT_TRUE(AreEqual(values.Keep(checkpoint.components.at(part)), tensors)) << path;
    }
  }
}

std::string OriginalOf(const KeyMapping& mapping, const std::string& diffusers) {
  for (const MappedKey& key : mapping.keys) {
    if (std::ranges::count(key.twin.diffusers, diffusers) > 0) return key.original;
  }
  return "";
}

TEST(KeyMappingTest, NamesAsTheOriginalCheckpointsDo) {
  SmallTensors values(1);
  const KeyMapping sd15 = MapDiffusers(Sd15Tensors(values), "m");
  const std::string unet = "model.diffusion_model.";
  EXPECT_EQ(OriginalOf(sd15, "down_blocks.1.resnets.0.conv_shortcut.weight"),
            unet + "input_blocks.4.0.skip_connection.weight");
  EXPECT_EQ(OriginalOf(sd15, "up_blocks.0.upsamplers.0.conv.bias"),
            unet + "output_blocks.2.1.conv.bias");
  EXPECT_EQ(OriginalOf(sd15, "up_blocks.1.upsamplers.0.conv.bias"),
            unet + "output_blocks.5.2.conv.bias");
  EXPECT_EQ(OriginalOf(sd15, "up_blocks.3.resnets.2.conv_shortcut.weight"),
            unet + "output_blocks.11.0.skip_connection.weight");
  EXPECT_EQ(OriginalOf(sd15, "decoder.up_blocks.0.resnets.2.conv2.weight"),
            "first_stage_model.decoder.up.3.block.2.conv2.weight");
  EXPECT_EQ(OriginalOf(sd15, "encoder.mid_block.attentions.0.to_out.0.weight"),
            "first_stage_model.encoder.mid.attn_1.proj_out.weight");
  const KeyMapping sdxl = MapDiffusers(SdxlTensors(values), "m");
  EXPECT_EQ(OriginalOf(sdxl, "add_embedding.linear_2.bias"), unet + "label_emb.0.2.bias");
  EXPECT_EQ(OriginalOf(sdxl, "down_blocks.1.attentions.0.transformer_blocks.1.attn2.to_k.weight"),
            unet + "input_blocks.4.1.transformer_blocks.1.attn2.to_k.weight");
  EXPECT_EQ(
      OriginalOf(sdxl, "text_model.encoder.layers.9.self_attn.k_proj.bias"),
      "conditioner.embedders.0.transformer.text_model.encoder.layers.9.self_attn.k_proj.bias");
  EXPECT_EQ(OriginalOf(sdxl, "text_projection.weight"),
            "conditioner.embedders.1.model.text_projection");
}

TEST(KeyMappingTest, TransposesTheProjectionOfTheSecondTextEncoder) {
  SmallTensors values(1);
  const PartTensors parts = SdxlTensors(values);
  const TensorMap original =
      values.Keep(ToOriginal(SourcesOf(parts), MapDiffusers(parts, "m"), "m"));
  const TensorView& there = parts.at(ModelPart::kTextEncoder2).at("text_projection.weight");
  const TensorView& back = original.at("conditioner.embedders.1.model.text_projection");
  EXPECT_THAT(there.sizes, ElementsAre(2, 3));
  EXPECT_THAT(back.sizes, ElementsAre(3, 2));
  // Element [1, 2] of two bytes there is [2, 1] back.
  EXPECT_TRUE(std::ranges::equal(there.data.subspan(2 * (1 * 3 + 2), 2),
                                 back.data.subspan(2 * (2 * 2 + 1), 2)));
}

TEST(KeyMappingTest, LeavesOutWhatDiffusersDoesNotHave) {
  SmallTensors values(1);
  const PartTensors parts = Sd21Tensors(values);
  TensorMap original = values.Keep(ToOriginal(SourcesOf(parts), MapDiffusers(parts, "m"), "m"));
  for (const std::string name :
       {"alphas_cumprod", "cond_stage_model.model.logit_scale",
        "cond_stage_model.model.text_projection",
        "cond_stage_model.model.transformer.resblocks.23.attn.in_proj_weight",
        "model_ema.diffusion_modelinput_blocks00weight"}) {
    original[name] = values.Make({2});
  }
  const KeyMapping mapping = MapOriginal(original, "m");
  EXPECT_EQ(mapping.left_out.size(), 5U);
  EXPECT_EQ(mapping.keys.size(), 1214U);
}

std::string Refusal(const TensorMap& tensors) {
  try {
    MapOriginal(tensors, "m");
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(KeyMappingTest, NamesKeysAndModelsThatItDoesNotKnow) {
  SmallTensors values(1);
  const PartTensors parts = Sd15Tensors(values);
  TensorMap original = values.Keep(ToOriginal(SourcesOf(parts), MapDiffusers(parts, "m"), "m"));
  original["model.diffusion_model.input_blocks.1.0.extra.weight"] = values.Make({2});
  EXPECT_EQ(Refusal(original),
            "m:model.diffusion_model.input_blocks.1.0.extra.weight: is no tensor of the unet of SD "
            "1.x");
  EXPECT_EQ(Refusal({{"model.diffusion_model.joint_blocks.0.x", values.Make({2})}}),
            "m: is Stable Diffusion 3, which Stint does not know");
  EXPECT_EQ(Refusal({{"classifier.weight", values.Make({2})}}),
            "m: is no checkpoint of SD 1.x, SD 2.x or SDXL in the original layout");
}

TEST(KeyMappingTest, KnowsTheOldNamesOfTheAutoencodersAttention) {
  EXPECT_EQ(ModernVaeKey("encoder.mid_block.attentions.0.proj_attn.bias"),
            "encoder.mid_block.attentions.0.to_out.0.bias");
  EXPECT_EQ(ModernVaeKey("decoder.mid_block.attentions.0.query.weight"),
            "decoder.mid_block.attentions.0.to_q.weight");
  EXPECT_EQ(ModernVaeKey("decoder.mid_block.attentions.0.to_q.weight"),
            "decoder.mid_block.attentions.0.to_q.weight");
}

}  // namespace
}  // namespace stint
