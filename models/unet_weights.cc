#include <fmt/format.h>

#include "models/weight_list.h"

namespace stint {
namespace {

class UnetWeightList : public WeightList {
 public:
  void Attention(const std::string& module, std::int64_t count, std::int64_t source_count) {
    Linear(module + ".to_q", count, count, false);
    Linear(module + ".to_k", source_count, count, false);
    Linear(module + ".to_v", source_count, count, false);
    Linear(module + ".to_out.0", count, count);
  }

  void Transformer(const std::string& module, const UnetBlock& block, const UnetConfig& config) {
    const std::int64_t count = block.channel_count;
    const auto projection = [&](const std::string& name) {
      if (config.has_linear_projection) {
        Linear(name, count, count);
      } else {
        Convolution(name, count, count, 1);
      }
    };
    Norm(module + ".norm", count);
    projection(module + ".proj_in");
    for (std::int64_t i = 0; i < block.transformer_count; ++i) {
      const std::string inner = fmt::format("{}.transformer_blocks.{}", module, i);
      Norm(inner + ".norm1", count);
      Attention(inner + ".attn1", count, count);
      Norm(inner + ".norm2", count);
      Attention(inner + ".attn2", count, config.cross_attention_size);
      Norm(inner + ".norm3", count);
      Linear(inner + ".ff.net.0.proj", count, 8 * count);  // Value and gate, four times as wide.
      Linear(inner + ".ff.net.2", 4 * count, count);
    }
    projection(module + ".proj_out");
  }
};

}  // namespace

std::vector<WeightSpec> UnetWeights(const UnetConfig& config) {
  UnetWeightList list;
  const std::int64_t first_count = config.down_blocks.front().channel_count;
  const std::int64_t time_size = config.TimeEmbeddingSize();
  list.Linear("time_embedding.linear_1", first_count, time_size);
  list.Linear("time_embedding.linear_2", time_size, time_size);
  if (config.HasAddition()) {
    list.Linear("add_embedding.linear_1",
                config.pooled_text_size + kTimeIdCount * config.time_id_embedding_size, time_size);
    list.Linear("add_embedding.linear_2", time_size, time_size);
  }
  list.Convolution("conv_in", config.in_channel_count, first_count, 3);

  std::int64_t count = first_count;
  std::vector<std::int64_t> skip_counts = {count};
  const auto layer = [&](const std::string& module, const UnetBlock& block, std::int64_t index,
                         std::int64_t in_count) {
    count = block.channel_count;
    list.Resnet(fmt::format("{}.resnets.{}", module, index), in_count, count, time_size);
    if (block.has_attention) {
      list.Transformer(fmt::format("{}.attentions.{}", module, index), block, config);
    }
  };
  for (std::size_t i = 0; i < config.down_blocks.size(); ++i) {
    const UnetBlock& block = config.down_blocks[i];
    const std::string module = fmt::format("down_blocks.{}", i);
    for (std::int64_t j = 0; j < block.resnet_count; ++j) {
      layer(module, block, j, count);
      skip_counts.push_back(count);
    }
    if (block.has_resample) {
      list.Convolution(module + ".downsamplers.0.conv", count, count, 3);
      skip_counts.push_back(count);
    }
  }
  layer("mid_block", config.mid_block, 0, count);
  list.Resnet("mid_block.resnets.1", count, count, time_size);
  for (std::size_t i = 0; i < config.up_blocks.size(); ++i) {
    const UnetBlock& block = config.up_blocks[i];
    const std::string module = fmt::format("up_blocks.{}", i);
    for (std::int64_t j = 0; j < block.resnet_count; ++j) {
      layer(module, block, j, count + skip_counts.back());
      skip_counts.pop_back();
    }
    if (block.has_resample) list.Convolution(module + ".upsamplers.0.conv", count, count, 3);
  }
  list.Norm("conv_norm_out", count);
  list.Convolution("conv_out", count, config.out_channel_count, 3);
  return list.Take();
}

std::vector<WeightSpec> UnetAdapters(const UnetConfig& config, std::int64_t rank) {
  std::vector<WeightSpec> adapters;
  for (const WeightSpec& weight : UnetWeights(config)) {
    for (const std::string projection : {".to_q", ".to_k", ".to_v", ".to_out.0"}) {
      const std::string suffix = projection + ".weight";
      if (!weight.name.ends_with(suffix)) continue;
      const std::string module = weight.name.substr(0, weight.name.size() - 7);
      adapters.push_back({.name = module + ".lora_A.weight", .sizes = {rank, weight.sizes[1]}});
      adapters.push_back({.name = module + ".lora_B.weight", .sizes = {weight.sizes[0], rank}});
    }
  }
  return adapters;
}

std::int64_t ParameterCount(const std::vector<WeightSpec>& weights) {
  std::int64_t parameter_count = 0;
  for (const WeightSpec& weight : weights) {
    std::int64_t count = 1;
    for (const std::int64_t size : weight.sizes) count *= size;
    parameter_count += count;
  }
  return parameter_count;
}

}  // namespace stint
