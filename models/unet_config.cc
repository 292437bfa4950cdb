#include "models/unet_config.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <string_view>

#include "models/config_reader.h"

namespace stint {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t kMaxRepeats = 64;  // Of layers in a block.
constexpr std::size_t kMaxBlocks = 8;

/// Features that change the model and that Stint does not have, by the value that turns them off.
/// A key that is absent has this value.
const Json& UnsupportedFeatures() {
  static const Json features = {
      {"act_fn", "silu"},
      {"attention_type", "default"},
      {"center_input_sample", false},
      {"class_embed_type", nullptr},
      {"class_embeddings_concat", false},
      {"conv_in_kernel", 3},
      {"conv_out_kernel", 3},
      {"cross_attention_norm", nullptr},
      {"downsample_padding", 1},
      {"dropout", 0.0},
      {"dual_cross_attention", false},
      {"encoder_hid_dim", nullptr},
      {"encoder_hid_dim_type", nullptr},
      {"mid_block_only_cross_attention", nullptr},
      {"mid_block_scale_factor", 1},
      {"mid_block_type", "UNetMidBlock2DCrossAttn"},
      {"num_attention_heads", nullptr},
      {"num_class_embeds", nullptr},
      {"only_cross_attention", false},
      {"resnet_out_scale_factor", 1.0},
      {"resnet_skip_time_act", false},
      {"resnet_time_scale_shift", "default"},
      {"reverse_transformer_layers_per_block", nullptr},
      {"time_cond_proj_dim", nullptr},
      {"time_embedding_act_fn", nullptr},
      {"time_embedding_dim", nullptr},
      {"time_embedding_type", "positional"},
      {"timestep_post_act", nullptr},
  };
  return features;
}

/// The last two are without influence here: a detail of an unsupported feature, and a size that
/// callers choose.
constexpr std::array<std::string_view, 20> kKnownKeys = {"addition_embed_type",
                                                         "addition_time_embed_dim",
                                                         "attention_head_dim",
                                                         "block_out_channels",
                                                         "cross_attention_dim",
                                                         "down_block_types",
                                                         "flip_sin_to_cos",
                                                         "freq_shift",
                                                         "in_channels",
                                                         "layers_per_block",
                                                         "norm_eps",
                                                         "norm_num_groups",
                                                         "out_channels",
                                                         "projection_class_embeddings_input_dim",
                                                         "transformer_layers_per_block",
                                                         "up_block_types",
                                                         "upcast_attention",
                                                         "use_linear_projection",
                                                         "addition_embed_type_num_heads",
                                                         "sample_size"};

/// Which of the blocks have attention, from the names of their types.
std::vector<bool> Attentions(const ConfigReader& reader, const std::string& key, std::size_t size,
                             const std::string& with_attention,
                             const std::string& without_attention) {
  const Json& types = reader.At(key);
  if (!types.is_array() || types.size() != size) {
    reader.Fail(
        key, fmt::format("is not a list of {} elements, one for each of block_out_channels", size));
  }
  std::vector<bool> has_attention;
  for (std::size_t i = 0; i < size; ++i) {
    if (types[i] != with_attention && types[i] != without_attention) {
      reader.Fail(fmt::format("{}/{}", key, i),
                  fmt::format("is {}; Stint knows {} and {}", types[i].dump(), with_attention,
                              without_attention));
    }
    has_attention.push_back(types[i] == with_attention);
  }
  return has_attention;
}

/// What SDXL's UNet is told beside the prompt; all 0 in models that are told nothing.
void ReadAddition(const ConfigReader& reader, UnetConfig& config) {
  if (!reader.Has("addition_embed_type")) return;
  if (reader.Text("addition_embed_type", "") != "text_time") {
    reader.Fail("addition_embed_type", fmt::format("is {}; Stint knows null and \"text_time\"",
                                                   reader.At("addition_embed_type").dump()));
  }
  config.time_id_embedding_size = reader.Count("addition_time_embed_dim");
  if (config.time_id_embedding_size % 2 != 0) reader.Fail("addition_time_embed_dim", "is odd");
  const std::int64_t input_size = reader.Count("projection_class_embeddings_input_dim");
  config.pooled_text_size = input_size - kTimeIdCount * config.time_id_embedding_size;
  if (config.pooled_text_size < 1) {
    reader.Fail("projection_class_embeddings_input_dim",
                fmt::format("is {}, which leaves no room beside {} numbers embedded in {} each",
                            input_size, kTimeIdCount, config.time_id_embedding_size));
  }
}

void CheckBlocks(const UnetConfig& config, const ConfigReader& reader,
                 const std::vector<std::int64_t>& channels,
                 const std::vector<std::int64_t>& heads) {
  for (std::size_t i = 0; i < channels.size(); ++i) {
    const std::string pointer = fmt::format("block_out_channels/{}", i);
    if (channels[i] % config.group_count != 0) {
      reader.Fail(pointer, fmt::format("is {}, which norm_num_groups {} does not divide",
                                       channels[i], config.group_count));
    }
    const bool is_attended = config.down_blocks[i].has_attention ||
                             config.up_blocks[channels.size() - 1 - i].has_attention ||
                             i + 1 == channels.size();
    if (is_attended && channels[i] % heads[i] != 0) {
      reader.Fail(pointer, fmt::format("is {}, which its {} attention heads do not divide",
                                       channels[i], heads[i]));
    }
  }
  const std::int64_t frequency_count = channels[0] / 2;
  if (channels[0] % 2 != 0) reader.Fail("block_out_channels/0", "is odd");
  if (!(config.frequency_shift < static_cast<double>(frequency_count))) {
    reader.Fail("freq_shift", "is not below half of the first of block_out_channels");
  }
}

}  // namespace

UnetConfig UnetConfigFromJson(const std::string& text, const std::string& where) {
  const ConfigReader reader(text, where);
  reader.RefuseOthers(kKnownKeys, UnsupportedFeatures());

  const Json& channel_list = reader.At("block_out_channels");
  if (!channel_list.is_array() || channel_list.empty() || channel_list.size() > kMaxBlocks) {
    reader.Fail("block_out_channels", fmt::format("is not a list of 1 to {} elements", kMaxBlocks));
  }
  const std::size_t count = channel_list.size();
  const auto channels = reader.Counts("block_out_channels", count, ConfigReader::kMaxSize);
  // Despite its name this key holds the number of heads in every model of this family.
  const auto heads = reader.Counts("attention_head_dim", count, ConfigReader::kMaxSize);
  const auto resnets = reader.Counts("layers_per_block", count, kMaxRepeats);
  const auto transformers = reader.Has("transformer_layers_per_block")
                                ? reader.Counts("transformer_layers_per_block", count, kMaxRepeats)
                                : std::vector<std::int64_t>(count, 1);
  const auto down_attentions =
      Attentions(reader, "down_block_types", count, "CrossAttnDownBlock2D", "DownBlock2D");
  const auto up_attentions =
      Attentions(reader, "up_block_types", count, "CrossAttnUpBlock2D", "UpBlock2D");

  UnetConfig config = {
      .in_channel_count = reader.Count("in_channels"),
      .out_channel_count = reader.Count("out_channels"),
      .group_count = reader.CountOr("norm_num_groups", 32),
      .norm_epsilon = reader.Number("norm_eps", 1e-5),
      .cross_attention_size = reader.Count("cross_attention_dim"),
      .has_upcast_attention = reader.Bool("upcast_attention", false),
      .has_linear_projection = reader.Bool("use_linear_projection", false),
      .is_cosine_first = reader.Bool("flip_sin_to_cos", true),
      .frequency_shift = reader.Number("freq_shift", 0),
  };
  ReadAddition(reader, config);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t mirror = count - 1 - i;
    config.down_blocks.push_back({.channel_count = channels[i],
                                  .resnet_count = resnets[i],
                                  .has_attention = down_attentions[i],
                                  .head_count = heads[i],
                                  .transformer_count = transformers[i],
                                  .has_resample = i + 1 < count});
    config.up_blocks.push_back({.channel_count = channels[mirror],
                                .resnet_count = resnets[mirror] + 1,
                                .has_attention = up_attentions[i],
                                .head_count = heads[mirror],
                                .transformer_count = transformers[mirror],
                                .has_resample = i + 1 < count});
  }
  config.mid_block = {.channel_count = channels.back(),
                      .resnet_count = 2,
                      .has_attention = true,
                      .head_count = heads.back(),
                      .transformer_count = transformers.back()};
  CheckBlocks(config, reader, channels, heads);
  return config;
}

}  // namespace stint
