#include "models/unet.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>
#include <tuple>

#include "kernels/geglu.h"

namespace stint {
namespace {

constexpr double kTransformerGroupNormEpsilon = 1e-6;
constexpr double kLayerNormEpsilon = 1e-5;

/// What all blocks of one call are told beside the pixels.
struct Conditions {
  const UnetConfig& config;
  at::Tensor time_embedding{};  // With the SiLU that every resnet would apply to it.
  at::Tensor text_states{};
};

/// Sines and cosines of each number at falling frequencies. timesteps [count] -> [count, size]
at::Tensor EmbedTimesteps(const UnetConfig& config, const at::Tensor& timesteps,
                          std::int64_t embedding_size, at::ScalarType dtype) {
  constexpr double kMaxPeriod = 10000;
  const std::int64_t frequency_count = embedding_size / 2;
  at::Tensor frequencies =
      at::arange(frequency_count, at::TensorOptions(timesteps.device()).dtype(at::kFloat));
  frequencies = at::mul(frequencies, -std::log(kMaxPeriod));
  frequencies = at::div(frequencies, static_cast<double>(frequency_count) - config.frequency_shift);
  frequencies = at::exp(frequencies);
  const at::Tensor angles =
      at::mul(timesteps.unsqueeze(1).to(at::kFloat), frequencies.unsqueeze(0));
  const at::Tensor sines = at::sin(angles);
  const at::Tensor cosines = at::cos(angles);
  const at::Tensor embedding =
      config.is_cosine_first ? at::cat({cosines, sines}, 1) : at::cat({sines, cosines}, 1);
  return embedding.to(dtype);
}

/// The two layers of time_embedding and add_embedding.
at::Tensor EmbeddingLayers(const Module& root, const std::string& name,
                           const at::Tensor& embedding) {
  const Module module(root, name);
  return Linear(module, "linear_2", at::silu(Linear(module, "linear_1", embedding)));
}

/// What the model is told beside the timestep, like the embedding of that.
at::Tensor AddedEmbedding(const Module& root, const UnetConfig& config, const UnetInputs& inputs) {
  const at::ScalarType dtype = inputs.latents.scalar_type();
  at::Tensor addition;
  {
    const ModuleScope module("add_embedding");
    addition =
        EmbedTimesteps(config, inputs.time_ids.flatten(), config.time_id_embedding_size, dtype);
    addition = addition.view({inputs.time_ids.size(0), -1});
    addition = at::cat({inputs.pooled_text.to(dtype), addition}, 1);
  }
  return EmbeddingLayers(root, "add_embedding", addition);
}

/// With the SiLU that every resnet would apply to it.
at::Tensor TimeEmbedding(const Module& root, const UnetConfig& config, const UnetInputs& inputs) {
  at::Tensor embedding;
  {
    const ModuleScope module("time_embedding");
    embedding = EmbedTimesteps(config, inputs.timesteps, config.down_blocks.front().channel_count,
                               inputs.latents.scalar_type());
  }
  embedding = EmbeddingLayers(root, "time_embedding", embedding);
  if (config.HasAddition()) embedding = at::add(embedding, AddedEmbedding(root, config, inputs));
  const ModuleScope module("time_embedding");
  return at::silu(embedding);
}

/// hidden [batch, query_count, channels], source [batch, key_count, source channels]
at::Tensor AttentionLayer(const Module& parent, const std::string& name, const at::Tensor& hidden,
                          const at::Tensor& source, std::int64_t head_count) {
  const Module module(parent, name);
  const at::Tensor query = Projection(module, "to_q", hidden, false);
  const at::Tensor key = Projection(module, "to_k", source, false);
  const at::Tensor value = Projection(module, "to_v", source, false);
  const at::Tensor attended =
      Attend(module.call().attention, query, key, value,
             {.head_count = head_count, .has_float32_scores = module.call().has_float32_scores});
  return Projection(module, "to_out.0", attended, true);
}

at::Tensor FeedForward(const Module& parent, const at::Tensor& hidden) {
  const Module module(parent, "ff");
  const at::Tensor inner = Linear(module, "net.0.proj", hidden);
  if (module.call().is_nhwc) return Linear(module, "net.2", Geglu(inner));
  const auto halves = at::chunk(inner, 2, -1);
  return Linear(module, "net.2", at::mul(halves[0], at::gelu(halves[1])));
}

at::Tensor TransformerBlock(const Module& parent, const std::string& name, at::Tensor hidden,
                            const at::Tensor& text_states, std::int64_t head_count) {
  const Module module(parent, name);
  at::Tensor normed = LayerNorm(module, "norm1", hidden, kLayerNormEpsilon);
  at::Tensor update = AttentionLayer(module, "attn1", normed, normed, head_count);
  std::tie(hidden, normed) = AddAndNormalise(module, "norm2", update, hidden, kLayerNormEpsilon);
  update = AttentionLayer(module, "attn2", normed, text_states, head_count);
  std::tie(hidden, normed) = AddAndNormalise(module, "norm3", update, hidden, kLayerNormEpsilon);
  return at::add(FeedForward(module, normed), hidden);
}

at::Tensor Transformer(const Module& parent, const std::string& name, const at::Tensor& input,
                       const Conditions& conditions, const UnetBlock& block) {
  const Module module(parent, name);
  const bool is_linear = conditions.config.has_linear_projection;
  at::Tensor hidden = GroupNorm(module, "norm", input, kTransformerGroupNormEpsilon, false);
  hidden = is_linear ? Linear(module, "proj_in", PixelsToTokens(hidden))
                     : PixelsToTokens(Convolution(module, "proj_in", hidden, 1, 0));
  for (std::int64_t i = 0; i < block.transformer_count; ++i) {
    hidden = TransformerBlock(module, fmt::format("transformer_blocks.{}", i), hidden,
                              conditions.text_states, block.head_count);
  }
  hidden = is_linear ? TokensToPixels(module, Linear(module, "proj_out", hidden), input)
                     : Convolution(module, "proj_out", TokensToPixels(module, hidden, input), 1, 0);
  return at::add(hidden, input);
}

at::Tensor Downsample(const Module& parent, const at::Tensor& hidden) {
  const Module module(parent, "downsamplers.0");
  return Convolution(module, "conv", hidden, 2, 1);
}

/// Resnet `index` of a block and the attention that follows it, if there is one.
at::Tensor Layer(const Module& module, const UnetBlock& block, std::int64_t index,
                 at::Tensor hidden, const Conditions& conditions) {
  hidden = Resnet(module, fmt::format("resnets.{}", index), hidden, conditions.time_embedding,
                  block.channel_count, conditions.config.norm_epsilon);
  if (!block.has_attention) return hidden;
  return Transformer(module, fmt::format("attentions.{}", index), hidden, conditions, block);
}

}  // namespace

torch::MemoryFormat FormatOf(const WeightSpec& spec, bool is_nhwc) {
  const bool is_image = spec.sizes.size() == 4 && spec.sizes[2] * spec.sizes[3] > 1;
  return is_nhwc && is_image ? torch::MemoryFormat::ChannelsLast : torch::MemoryFormat::Contiguous;
}

torch::Tensor RunUnet(const UnetConfig& config, const UnetOptions& options,
                      const FindWeight& find_weight, const UnetInputs& inputs) {
  const ModelCall call = {.find_weight = find_weight,
                          .attention = options.attention,
                          .group_count = config.group_count,
                          .has_adapters = options.has_adapters,
                          .has_float32_scores = config.has_upcast_attention,
                          .is_nhwc = options.is_nhwc};
  const Module root(call);
  const Conditions conditions = {.config = config,
                                 .time_embedding = TimeEmbedding(root, config, inputs),
                                 .text_states = inputs.text_states};
  const auto format =
      options.is_nhwc ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
  at::Tensor hidden = Convolution(root, "conv_in", inputs.latents.contiguous(format), 1, 1);

  std::vector<at::Tensor> skips = {hidden};
  for (std::size_t i = 0; i < config.down_blocks.size(); ++i) {
    const UnetBlock& block = config.down_blocks[i];
    const Module module(root, fmt::format("down_blocks.{}", i));
    for (std::int64_t j = 0; j < block.resnet_count; ++j) {
      hidden = Layer(module, block, j, hidden, conditions);
      skips.push_back(hidden);
    }
    if (block.has_resample) {
      hidden = Downsample(module, hidden);
      skips.push_back(hidden);
    }
  }

  {
    const Module module(root, "mid_block");
    const UnetBlock& block = config.mid_block;
    hidden = Layer(module, block, 0, hidden, conditions);
    hidden = Resnet(module, "resnets.1", hidden, conditions.time_embedding, block.channel_count,
                    config.norm_epsilon);
  }

  for (std::size_t i = 0; i < config.up_blocks.size(); ++i) {
    const UnetBlock& block = config.up_blocks[i];
    const Module module(root, fmt::format("up_blocks.{}", i));
    for (std::int64_t j = 0; j < block.resnet_count; ++j) {
      hidden = at::cat({hidden, skips.back()}, 1);
      skips.pop_back();
      hidden = Layer(module, block, j, hidden, conditions);
    }
    if (block.has_resample) hidden = Upsample(module, hidden);
  }

  hidden = GroupNorm(root, "conv_norm_out", hidden, config.norm_epsilon, true);
  return Convolution(root, "conv_out", hidden, 1, 1);
}

}  // namespace stint
