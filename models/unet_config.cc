#include "models/unet_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>

#include "ir/errors.h"

namespace stint {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t kMaxSize = 65536;  // Of channels and the like: products stay in int64.
constexpr std::int64_t kMaxRepeats = 64;  // Of layers in a block.
constexpr std::size_t kMaxBlocks = 8;

/// Features that change the model and that Stint does not have, by the value that turns them off.
/// A key that is absent has this value.
const Json& UnsupportedFeatures() {
  static const Json features = {
      {"act_fn", "silu"},
      {"addition_embed_type", nullptr},
      {"addition_time_embed_dim", nullptr},
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
      {"projection_class_embeddings_input_dim", nullptr},
      {"resnet_out_scale_factor", 1.0},
      {"resnet_skip_time_act", false},
      {"resnet_time_scale_shift", "default"},
      {"reverse_transformer_layers_per_block", nullptr},
      {"time_cond_proj_dim", nullptr},
      {"time_embedding_act_fn", nullptr},
      {"time_embedding_dim", nullptr},
      {"time_embedding_type", "positional"},
      {"timestep_post_act", nullptr},
      {"upcast_attention", false},
  };
  return features;
}

/// Without influence here: a size that callers choose, and a detail of an unsupported feature.
constexpr std::array<std::string_view, 2> kIgnoredKeys = {"addition_embed_type_num_heads",
                                                          "sample_size"};

constexpr std::array<std::string_view, 14> kKnownKeys = {
    "attention_head_dim", "block_out_channels",   "cross_attention_dim",
    "down_block_types",   "flip_sin_to_cos",      "freq_shift",
    "in_channels",        "layers_per_block",     "norm_eps",
    "norm_num_groups",    "out_channels",         "transformer_layers_per_block",
    "up_block_types",     "use_linear_projection"};

/// Reads values out of one JSON object and names the place of those that are wrong.
class Reader {
 public:
  Reader(const Json& object, std::string where) : object_(object), where_(std::move(where)) {}

  [[noreturn]] void Fail(const std::string& pointer, const std::string& fact) const {
    throw InputError(where_ + ":/" + pointer, fact);
  }

  bool Has(const std::string& key) const { return object_.contains(key); }

  const Json& At(const std::string& key) const {
    if (!Has(key)) Fail(key, "is missing");
    return object_.at(key);
  }

  std::int64_t Count(const Json& value, const std::string& pointer, std::int64_t max) const {
    if (!value.is_number_integer() || value < 1 || value > max) {
      Fail(pointer, fmt::format("is not an integer from 1 to {}", max));
    }
    return value.get<std::int64_t>();
  }

  std::int64_t Count(const std::string& key) const { return Count(At(key), key, kMaxSize); }

  /// A list of `size` counts, or one count for all.
  std::vector<std::int64_t> Counts(const std::string& key, std::size_t size,
                                   std::int64_t max) const {
    const Json& value = At(key);
    if (!value.is_array()) return std::vector<std::int64_t>(size, Count(value, key, max));
    if (value.size() != size) {
      Fail(key, fmt::format("has {} elements, block_out_channels has {}", value.size(), size));
    }
    std::vector<std::int64_t> counts;
    for (std::size_t i = 0; i < size; ++i) {
      counts.push_back(Count(value[i], fmt::format("{}/{}", key, i), max));
    }
    return counts;
  }

  bool Bool(const std::string& key, bool fallback) const {
    if (!Has(key)) return fallback;
    if (!At(key).is_boolean()) Fail(key, "is not true or false");
    return At(key).get<bool>();
  }

  double Number(const std::string& key, double fallback) const {
    if (!Has(key)) return fallback;
    if (!At(key).is_number()) Fail(key, "is not a number");
    return At(key).get<double>();
  }

  /// Which of the blocks have attention, from the names of their types.
  std::vector<bool> Attentions(const std::string& key, std::size_t size,
                               const std::string& with_attention,
                               const std::string& without_attention) const {
    const Json& types = At(key);
    if (!types.is_array() || types.size() != size) {
      Fail(key,
           fmt::format("is not a list of {} elements, one for each of block_out_channels", size));
    }
    std::vector<bool> has_attention;
    for (std::size_t i = 0; i < size; ++i) {
      if (types[i] != with_attention && types[i] != without_attention) {
        Fail(fmt::format("{}/{}", key, i),
             fmt::format("is {}; Stint knows {} and {}", types[i].dump(), with_attention,
                         without_attention));
      }
      has_attention.push_back(types[i] == with_attention);
    }
    return has_attention;
  }

  void RefuseUnsupported() const {
    for (const auto& [key, value] : object_.items()) {
      const bool is_known = std::ranges::count(kKnownKeys, key) > 0;
      if (is_known || std::ranges::count(kIgnoredKeys, key) > 0 || key.starts_with('_')) continue;
      if (!UnsupportedFeatures().contains(key)) Fail(key, "is a key that Stint does not know");
      const Json& supported = UnsupportedFeatures().at(key);
      if (value != supported) {
        Fail(key, fmt::format("is {}; Stint supports only {}", value.dump(), supported.dump()));
      }
    }
  }

 private:
  const Json& object_;
  std::string where_;
};

Json ParseObject(const std::string& text, const std::string& where) {
  Json json;
  try {
    json = Json::parse(text);
  } catch (const Json::parse_error& error) {
    throw InputError(where, fmt::format("is not JSON: byte {} is wrong", error.byte));
  }
  if (!json.is_object()) throw InputError(where, "is not a JSON object");
  return json;
}

void CheckBlocks(const UnetConfig& config, const Reader& reader,
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
  const Json json = ParseObject(text, where);
  const Reader reader(json, where);
  reader.RefuseUnsupported();

  const Json& channel_list = reader.At("block_out_channels");
  if (!channel_list.is_array() || channel_list.empty() || channel_list.size() > kMaxBlocks) {
    reader.Fail("block_out_channels", fmt::format("is not a list of 1 to {} elements", kMaxBlocks));
  }
  const std::size_t count = channel_list.size();
  const auto channels = reader.Counts("block_out_channels", count, kMaxSize);
  // Despite its name this key holds the number of heads in every model of this family.
  const auto heads = reader.Counts("attention_head_dim", count, kMaxSize);
  const auto resnets = reader.Counts("layers_per_block", count, kMaxRepeats);
  const auto transformers = reader.Has("transformer_layers_per_block")
                                ? reader.Counts("transformer_layers_per_block", count, kMaxRepeats)
                                : std::vector<std::int64_t>(count, 1);
  const auto down_attentions =
      reader.Attentions("down_block_types", count, "CrossAttnDownBlock2D", "DownBlock2D");
  const auto up_attentions =
      reader.Attentions("up_block_types", count, "CrossAttnUpBlock2D", "UpBlock2D");

  UnetConfig config = {
      .in_channel_count = reader.Count("in_channels"),
      .out_channel_count = reader.Count("out_channels"),
      .group_count = reader.Has("norm_num_groups") ? reader.Count("norm_num_groups") : 32,
      .norm_epsilon = reader.Number("norm_eps", 1e-5),
      .cross_attention_size = reader.Count("cross_attention_dim"),
      .has_linear_projection = reader.Bool("use_linear_projection", false),
      .is_cosine_first = reader.Bool("flip_sin_to_cos", true),
      .frequency_shift = reader.Number("freq_shift", 0),
  };
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
