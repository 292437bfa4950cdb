#include "models/unet_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "ir/errors.h"
#include "models/workload.h"

namespace stint {
namespace {

using nlohmann::json;

json TinyConfig() {
  const Workload workload = CompleteWorkload({.model = "tiny-unet",
                                              .task = "train",
                                              .dtype = "float32",
                                              .attention = "cpu",
                                              .batch_count = 1,
                                              .height_px = 64,
                                              .width_px = 64});
  return json::parse(workload.config_json);
}

/// The message of the error that `text` is refused with.
std::string Refusal(const std::string& text) {
  try {
    UnetConfigFromJson(text, "unet/config.json");
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

std::string RefusalWith(const std::string& key, const json& value) {
  json config = TinyConfig();
  config[key] = value;
  return Refusal(config.dump());
}

TEST(UnetConfigTest, ReadsTheTinyConfiguration) {
  const UnetConfig config = UnetConfigFromJson(TinyConfig().dump(), "tiny");
  ASSERT_EQ(config.down_blocks.size(), 4U);
  ASSERT_EQ(config.up_blocks.size(), 4U);
  EXPECT_TRUE(config.down_blocks[0].has_attention);
  EXPECT_FALSE(config.down_blocks[3].has_attention);
  EXPECT_FALSE(config.down_blocks[3].has_resample);
  EXPECT_FALSE(config.up_blocks[0].has_attention);
  EXPECT_EQ(config.up_blocks[0].resnet_count, 3);
  EXPECT_EQ(config.up_blocks[3].channel_count, 16);
  EXPECT_EQ(config.mid_block.channel_count, 48);
  EXPECT_EQ(config.TimeEmbeddingSize(), 64);
  EXPECT_EQ(config.LatentMultiple(), 8);
}

TEST(UnetConfigTest, ReadsHeadsLayersAndProjectionsByBlock) {
  json text = TinyConfig();  // As SD2.1 and SDXL write them.
  text["attention_head_dim"] = {2, 4, 6, 6};
  text["transformer_layers_per_block"] = {1, 2, 10, 1};
  text["layers_per_block"] = {1, 2, 3, 1};
  text["use_linear_projection"] = true;
  const UnetConfig config = UnetConfigFromJson(text.dump(), "sdxl");
  EXPECT_EQ(config.down_blocks[1].head_count, 4);
  EXPECT_EQ(config.down_blocks[2].transformer_count, 10);
  EXPECT_EQ(config.up_blocks[1].transformer_count, 10);
  EXPECT_EQ(config.up_blocks[1].resnet_count, 4);
  EXPECT_EQ(config.up_blocks[3].head_count, 2);
  EXPECT_TRUE(config.has_linear_projection);
}

TEST(UnetConfigTest, ReadsTheAdditionOfSdxl) {
  json text = TinyConfig();
  EXPECT_FALSE(UnetConfigFromJson(text.dump(), "sd15").HasAddition());
  text["addition_embed_type"] = "text_time";
  text["addition_time_embed_dim"] = 256;
  text["projection_class_embeddings_input_dim"] = 2816;
  const UnetConfig config = UnetConfigFromJson(text.dump(), "sdxl");
  EXPECT_EQ(config.time_id_embedding_size, 256);
  EXPECT_EQ(config.pooled_text_size, 1280);  // 2816 - 6 * 256
  text["projection_class_embeddings_input_dim"] = 1536;
  EXPECT_EQ(Refusal(text.dump()),
            "unet/config.json:/projection_class_embeddings_input_dim: is 1536, which leaves no "
            "room beside 6 numbers embedded in 256 each");
}

TEST(UnetConfigTest, TakesNullAsAbsent) {
  EXPECT_EQ(RefusalWith("upcast_attention", nullptr), "accepted");
  EXPECT_EQ(RefusalWith("cross_attention_dim", nullptr),
            "unet/config.json:/cross_attention_dim: is missing");
}

TEST(UnetConfigTest, RefusesWhatIsNotAJsonObject) {
  EXPECT_EQ(Refusal("{\"in_channels\": 4"), "unet/config.json: is not JSON: byte 18 is wrong");
  EXPECT_EQ(Refusal("[]"), "unet/config.json: is not a JSON object");
}

TEST(UnetConfigTest, RefusesUnsupportedFeatures) {
  EXPECT_EQ(RefusalWith("addition_embed_type", "image"),
            "unet/config.json:/addition_embed_type: is \"image\"; Stint knows null and "
            "\"text_time\"");
  EXPECT_EQ(RefusalWith("class_embed_type", "timestep"),
            "unet/config.json:/class_embed_type: is \"timestep\"; Stint supports only null");
}

TEST(UnetConfigTest, RefusesUnknownKeysButNotDiffusersNotes) {
  EXPECT_EQ(RefusalWith("layer_count", 2),
            "unet/config.json:/layer_count: is a key that Stint does not know");
  EXPECT_EQ(RefusalWith("_diffusers_version", "0.42.1"), "accepted");
}

TEST(UnetConfigTest, RefusesWrongNumbersAndTypes) {
  EXPECT_EQ(RefusalWith("in_channels", 0),
            "unet/config.json:/in_channels: is not an integer from 1 to 65536");
  EXPECT_EQ(RefusalWith("block_out_channels", json({16, 32, 48})),
            "unet/config.json:/down_block_types: is not a list of 3 elements, one for each of "
            "block_out_channels");
  EXPECT_EQ(RefusalWith("attention_head_dim", json({2, 2})),
            "unet/config.json:/attention_head_dim: has 2 elements, block_out_channels has 4");
  EXPECT_EQ(RefusalWith("norm_num_groups", 7),
            "unet/config.json:/block_out_channels/0: is 16, which norm_num_groups 7 does not "
            "divide");
  EXPECT_EQ(RefusalWith("attention_head_dim", 5),
            "unet/config.json:/block_out_channels/0: is 16, which its 5 attention heads do not "
            "divide");
  EXPECT_EQ(RefusalWith("flip_sin_to_cos", 1),
            "unet/config.json:/flip_sin_to_cos: is not true or false");
  json types = TinyConfig()["down_block_types"];
  types[1] = "AttnDownBlock2D";
  EXPECT_EQ(RefusalWith("down_block_types", types),
            "unet/config.json:/down_block_types/1: is \"AttnDownBlock2D\"; Stint knows "
            "CrossAttnDownBlock2D and DownBlock2D");
}

TEST(UnetConfigTest, RefusesMissingKeys) {
  json config = TinyConfig();
  config.erase("cross_attention_dim");
  EXPECT_EQ(Refusal(config.dump()), "unet/config.json:/cross_attention_dim: is missing");
}

}  // namespace
}  // namespace stint
