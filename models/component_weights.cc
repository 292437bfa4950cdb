#include "models/component_weights.h"

#include <fmt/format.h>

#include "models/weight_list.h"

namespace stint {
namespace {

/// Two resnets with an attention between them.
void AddVaeMiddle(WeightList& list, const std::string& module, std::int64_t channel_count) {
  list.Resnet(module + ".resnets.0", channel_count, channel_count, 0);
  const std::string attention = module + ".attentions.0";
  list.Norm(attention + ".group_norm", channel_count);
  for (const std::string projection : {".to_q", ".to_k", ".to_v", ".to_out.0"}) {
    list.Linear(attention + projection, channel_count, channel_count);
  }
  list.Resnet(module + ".resnets.1", channel_count, channel_count, 0);
}

}  // namespace

std::vector<WeightSpec> TextEncoderWeights(const TextEncoderConfig& config) {
  WeightList list;
  const std::int64_t size = config.hidden_size;
  list.Add("text_model.embeddings.token_embedding.weight", {config.vocabulary_count, size});
  list.Add("text_model.embeddings.position_embedding.weight", {config.position_count, size});
  for (std::int64_t i = 0; i < config.layer_count; ++i) {
    const std::string layer = fmt::format("text_model.encoder.layers.{}", i);
    list.Norm(layer + ".layer_norm1", size);
    for (const std::string projection : {"q_proj", "k_proj", "v_proj", "out_proj"}) {
      list.Linear(layer + ".self_attn." + projection, size, size);
    }
    list.Norm(layer + ".layer_norm2", size);
    list.Linear(layer + ".mlp.fc1", size, config.inner_size);
    list.Linear(layer + ".mlp.fc2", config.inner_size, size);
  }
  list.Norm("text_model.final_layer_norm", size);
  if (config.projection_size > 0) {
    list.Linear("text_projection", size, config.projection_size, /*has_bias=*/false);
  }
  return list.Take();
}

std::vector<WeightSpec> VaeEncoderWeights(const VaeConfig& config) {
  WeightList list;
  std::int64_t count = config.channel_counts.front();
  list.Convolution("encoder.conv_in", config.picture_channel_count, count, 3);
  for (std::size_t i = 0; i < config.channel_counts.size(); ++i) {
    const std::string block = fmt::format("encoder.down_blocks.{}", i);
    for (std::int64_t j = 0; j < config.resnet_count; ++j) {
      list.Resnet(fmt::format("{}.resnets.{}", block, j), count, config.channel_counts[i], 0);
      count = config.channel_counts[i];
    }
    if (i + 1 < config.channel_counts.size()) {
      list.Convolution(block + ".downsamplers.0.conv", count, count, 3);
    }
  }
  AddVaeMiddle(list, "encoder.mid_block", count);
  list.Norm("encoder.conv_norm_out", count);
  const std::int64_t moment_count = 2 * config.latent_channel_count;
  list.Convolution("encoder.conv_out", count, moment_count, 3);
  list.Convolution("quant_conv", moment_count, moment_count, 1);
  return list.Take();
}

std::vector<WeightSpec> VaeDecoderWeights(const VaeConfig& config) {
  WeightList list;
  std::int64_t count = config.channel_counts.back();
  list.Convolution("post_quant_conv", config.latent_channel_count, config.latent_channel_count, 1);
  list.Convolution("decoder.conv_in", config.latent_channel_count, count, 3);
  AddVaeMiddle(list, "decoder.mid_block", count);
  for (std::size_t i = 0; i < config.channel_counts.size(); ++i) {
    const std::string block = fmt::format("decoder.up_blocks.{}", i);
    const std::int64_t channel_count = config.channel_counts[config.channel_counts.size() - 1 - i];
    for (std::int64_t j = 0; j <= config.resnet_count; ++j) {
      list.Resnet(fmt::format("{}.resnets.{}", block, j), count, channel_count, 0);
      count = channel_count;
    }
    if (i + 1 < config.channel_counts.size()) {
      list.Convolution(block + ".upsamplers.0.conv", count, count, 3);
    }
  }
  list.Norm("decoder.conv_norm_out", count);
  list.Convolution("decoder.conv_out", count, config.picture_channel_count, 3);
  return list.Take();
}

}  // namespace stint
