#include <fmt/format.h>

#include "models/unet.h"

namespace stint {
namespace {

/// Collects the weights of modules, in the order of the calls.
class WeightList {
 public:
  void Convolution(const std::string& module, std::int64_t in_count, std::int64_t out_count,
                   std::int64_t kernel) {
    Add(module + ".weight", {out_count, in_count, kernel, kernel});
    Add(module + ".bias", {out_count});
  }

  void Linear(const std::string& module, std::int64_t in_count, std::int64_t out_count,
              bool has_bias = true) {
    Add(module + ".weight", {out_count, in_count});
    if (has_bias) Add(module + ".bias", {out_count});
  }

  void Norm(const std::string& module, std::int64_t count) {
    Add(module + ".weight", {count});
    Add(module + ".bias", {count});
  }

  void Resnet(const std::string& module, std::int64_t in_count, std::int64_t out_count,
              std::int64_t time_size) {
    Norm(module + ".norm1", in_count);
    Convolution(module + ".conv1", in_count, out_count, 3);
    Linear(module + ".time_emb_proj", time_size, out_count);
    Norm(module + ".norm2", out_count);
    Convolution(module + ".conv2", out_count, out_count, 3);
    if (in_count != out_count) Convolution(module + ".conv_shortcut", in_count, out_count, 1);
  }

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

  std::vector<WeightSpec> Take() { return std::move(weights_); }

 private:
  void Add(std::string name, std::vector<std::int64_t> sizes) {
    weights_.push_back({.name = std::move(name), .sizes = std::move(sizes)});
  }

  std::vector<WeightSpec> weights_;
};

}  // namespace

std::vector<WeightSpec> UnetWeights(const UnetConfig& config) {
  WeightList list;
  const std::int64_t first_count = config.down_blocks.front().channel_count;
  const std::int64_t time_size = config.TimeEmbeddingSize();
  list.Linear("time_embedding.linear_1", first_count, time_size);
  list.Linear("time_embedding.linear_2", time_size, time_size);
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

torch::MemoryFormat FormatOf(const WeightSpec& spec, bool is_nhwc) {
  const bool is_image = spec.sizes.size() == 4 && spec.sizes[2] * spec.sizes[3] > 1;
  return is_nhwc && is_image ? torch::MemoryFormat::ChannelsLast : torch::MemoryFormat::Contiguous;
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

}  // namespace stint
