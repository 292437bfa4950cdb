#include "models/vae_config.h"

#include <fmt/format.h>

#include <array>
#include <string>
#include <string_view>

namespace stint {
namespace {

constexpr std::int64_t kMaxRepeats = 64;
constexpr std::size_t kMaxBlocks = 8;

/// The last is a size that callers choose.
constexpr std::array<std::string_view, 11> kKnownKeys = {
    "block_out_channels", "down_block_types", "force_upcast",    "in_channels",
    "latent_channels",    "layers_per_block", "norm_num_groups", "out_channels",
    "scaling_factor",     "up_block_types",   "sample_size"};

const nlohmann::json& UnsupportedFeatures() {
  static const nlohmann::json features = {
      {"act_fn", "silu"},        {"latents_mean", nullptr},
      {"latents_std", nullptr},  {"mid_block_add_attention", true},
      {"shift_factor", nullptr}, {"use_post_quant_conv", true},
      {"use_quant_conv", true},
  };
  return features;
}

void CheckTypes(const ConfigReader& reader, const std::string& key, std::size_t size,
                const std::string& type) {
  if (reader.At(key) != nlohmann::json(std::vector<std::string>(size, type))) {
    reader.Fail(key, fmt::format("is not a list of {} times {}, one for each of "
                                 "block_out_channels",
                                 size, type));
  }
}

}  // namespace

VaeConfig ReadVaeConfig(const ConfigReader& reader) {
  reader.RefuseOthers(kKnownKeys, UnsupportedFeatures());
  const nlohmann::json& channels = reader.At("block_out_channels");
  if (!channels.is_array() || channels.empty() || channels.size() > kMaxBlocks) {
    reader.Fail("block_out_channels", fmt::format("is not a list of 1 to {} elements", kMaxBlocks));
  }
  CheckTypes(reader, "down_block_types", channels.size(), "DownEncoderBlock2D");
  CheckTypes(reader, "up_block_types", channels.size(), "UpDecoderBlock2D");
  VaeConfig config = {
      .picture_channel_count = reader.Count("in_channels"),
      .latent_channel_count = reader.Count("latent_channels"),
      .channel_counts =
          reader.Counts("block_out_channels", channels.size(), ConfigReader::kMaxSize),
      .resnet_count = reader.Count("layers_per_block", kMaxRepeats),
      .group_count = reader.CountOr("norm_num_groups", 32),
      .scaling_factor = reader.Number("scaling_factor", 0.18215),
      .needs_float32 = reader.Bool("force_upcast", false),
  };
  if (reader.Count("out_channels") != config.picture_channel_count) {
    reader.Fail("out_channels", "differs from in_channels");
  }
  for (std::size_t i = 0; i < config.channel_counts.size(); ++i) {
    if (config.channel_counts[i] % config.group_count != 0) {
      reader.Fail(fmt::format("block_out_channels/{}", i),
                  fmt::format("is {}, which norm_num_groups {} does not divide",
                              config.channel_counts[i], config.group_count));
    }
  }
  if (!(config.scaling_factor > 0)) reader.Fail("scaling_factor", "is not above 0");
  return config;
}

}  // namespace stint
