#include "models/unet.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>
#include <optional>
#include <tuple>
#include <utility>

#include "dispatch/scope.h"
#include "kernels/affine.h"
#include "kernels/geglu.h"
#include "kernels/group_norm.h"
#include "kernels/layer_norm.h"

namespace stint {
namespace {

constexpr double kTransformerGroupNormEpsilon = 1e-6;
constexpr double kLayerNormEpsilon = 1e-5;

/// What every block of one call shares.
struct Call {
  const UnetConfig& config;
  const UnetOptions& options;
  const FindWeight& find_weight;
};

/// One open module: its path, for weights and for the ops issued while it is open.
class Module {
 public:
  explicit Module(const Call& call) : call_(call) {}  // The root.
  Module(const Module& parent, const std::string& name)
      : call_(parent.call_), path_(parent.path_ + name + "."), scope_(std::in_place, name) {}

  const UnetConfig& config() const { return call_.config; }
  const UnetOptions& options() const { return call_.options; }
  at::Tensor Weight(const std::string& name) const { return call_.find_weight(path_ + name); }

 private:
  const Call& call_;
  std::string path_;
  std::optional<ModuleScope> scope_;
};

/// [batch, channels, height, width] -> [batch, height * width, channels]; a view of channels_last.
at::Tensor PixelsToTokens(const at::Tensor& pixels) {
  return pixels.flatten(2).transpose(1, 2).contiguous();
}

/// [batch, height * width, channels] -> [batch, channels, height, width] in channels_last, a view.
at::Tensor TokensToChannelsLast(const at::Tensor& tokens, std::int64_t height, std::int64_t width) {
  return tokens.view({tokens.size(0), height, width, tokens.size(2)}).permute({0, 3, 1, 2});
}

/// input [..., in size], weight [out size, in size], bias [out size] -> [..., out size]
at::Tensor AffineMap(const Module& module, const at::Tensor& input, const at::Tensor& weight,
                     const at::Tensor& bias) {
  return module.options().is_nhwc ? Affine(input, weight, bias) : at::linear(input, weight, bias);
}

at::Tensor Convolution(const Module& parent, const std::string& name, const at::Tensor& input,
                       std::int64_t stride, std::int64_t padding) {
  const Module module(parent, name);
  const at::Tensor weight = module.Weight("weight");
  if (module.options().is_nhwc && weight.size(2) == 1 && stride == 1) {
    const at::Tensor matrix = weight.view({weight.size(0), weight.size(1)});
    return TokensToChannelsLast(
        AffineMap(module, PixelsToTokens(input), matrix, module.Weight("bias")), input.size(2),
        input.size(3));
  }
  return at::conv2d(input, weight, module.Weight("bias"), stride, padding);
}

at::Tensor Linear(const Module& parent, const std::string& name, const at::Tensor& input) {
  const Module module(parent, name);
  return AffineMap(module, input, module.Weight("weight"), module.Weight("bias"));
}

/// A projection of an attention, with its adapter if there is one.
at::Tensor Projection(const Module& parent, const std::string& name, const at::Tensor& input,
                      bool has_bias) {
  const Module module(parent, name);
  at::Tensor output = has_bias
                          ? AffineMap(module, input, module.Weight("weight"), module.Weight("bias"))
                          : at::linear(input, module.Weight("weight"));
  if (!module.options().has_adapters) return output;
  const at::Tensor inner = at::linear(input, module.Weight("lora_A.weight"));
  return at::add(output, at::linear(inner, module.Weight("lora_B.weight")));
}

at::Tensor GroupNorm(const Module& parent, const std::string& name, const at::Tensor& input,
                     double epsilon, bool has_silu) {
  const Module module(parent, name);
  const std::int64_t group_count = module.config().group_count;
  if (module.options().is_nhwc) {
    return GroupNormNhwc(input, std::nullopt, module.Weight("weight"), module.Weight("bias"),
                         {.group_count = group_count, .epsilon = epsilon, .has_silu = has_silu});
  }
  const at::Tensor output =
      at::group_norm(input, group_count, module.Weight("weight"), module.Weight("bias"), epsilon);
  return has_silu ? at::silu(output) : output;
}

/// input [batch, channels, height, width], shift [batch, out channels]: silu(norm(conv(input) +
/// shift)), the bias of the convolution being part of the shift.
at::Tensor ShiftedConvolution(const Module& parent, const at::Tensor& input,
                              const at::Tensor& shift, double epsilon) {
  at::Tensor hidden;
  at::Tensor whole_shift;
  {
    const Module module(parent, "conv1");
    hidden = at::conv2d(input, module.Weight("weight"), {}, 1, 1);
    whole_shift = at::add(shift, module.Weight("bias"));
  }
  const Module module(parent, "norm2");
  return GroupNormNhwc(
      hidden, whole_shift, module.Weight("weight"), module.Weight("bias"),
      {.group_count = module.config().group_count, .epsilon = epsilon, .has_silu = true});
}

at::Tensor LayerNorm(const Module& parent, const std::string& name, const at::Tensor& input) {
  const Module module(parent, name);
  if (module.options().is_nhwc) {
    return AddLayerNorm(input, std::nullopt, module.Weight("weight"), module.Weight("bias"),
                        kLayerNormEpsilon)
        .second;
  }
  return at::layer_norm(input, {input.size(-1)}, module.Weight("weight"), module.Weight("bias"),
                        kLayerNormEpsilon);
}

/// update + hidden, and that normalised.
std::pair<at::Tensor, at::Tensor> AddAndNormalise(const Module& parent, const std::string& name,
                                                  const at::Tensor& update,
                                                  const at::Tensor& hidden) {
  if (!parent.options().is_nhwc) {
    const at::Tensor sum = at::add(update, hidden);
    return {sum, LayerNorm(parent, name, sum)};
  }
  const Module module(parent, name);
  return AddLayerNorm(update, hidden, module.Weight("weight"), module.Weight("bias"),
                      kLayerNormEpsilon);
}

/// Sines and cosines of each timestep at falling frequencies. timesteps [batch] -> [batch, size]
at::Tensor EmbedTimesteps(const UnetConfig& config, const at::Tensor& timesteps,
                          at::ScalarType dtype) {
  constexpr double kMaxPeriod = 10000;
  const std::int64_t frequency_count = config.down_blocks.front().channel_count / 2;
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

/// With the SiLU that every resnet would apply to it.
at::Tensor TimeEmbedding(const Module& parent, const at::Tensor& timesteps, at::ScalarType dtype) {
  const Module module(parent, "time_embedding");
  at::Tensor embedding = EmbedTimesteps(module.config(), timesteps, dtype);
  embedding = at::silu(Linear(module, "linear_1", embedding));
  return at::silu(Linear(module, "linear_2", embedding));
}

/// input [batch, in channels, height, width] -> [batch, channel_count, height, width]
at::Tensor Resnet(const Module& parent, const std::string& name, const at::Tensor& input,
                  const at::Tensor& time_embedding, std::int64_t channel_count) {
  const Module module(parent, name);
  const double epsilon = module.config().norm_epsilon;
  at::Tensor hidden = GroupNorm(module, "norm1", input, epsilon, true);
  if (module.options().is_nhwc) {
    const at::Tensor shift = Linear(module, "time_emb_proj", time_embedding);
    hidden = ShiftedConvolution(module, hidden, shift, epsilon);
  } else {
    hidden = Convolution(module, "conv1", hidden, 1, 1);
    const at::Tensor shift = Linear(module, "time_emb_proj", time_embedding);
    hidden = at::add(hidden, shift.unsqueeze(2).unsqueeze(3));
    hidden = GroupNorm(module, "norm2", hidden, epsilon, true);
  }
  hidden = Convolution(module, "conv2", hidden, 1, 1);
  if (input.size(1) == channel_count) return at::add(input, hidden);
  return at::add(Convolution(module, "conv_shortcut", input, 1, 0), hidden);
}

/// hidden [batch, query_count, channels], source [batch, key_count, source channels]
at::Tensor AttentionLayer(const Module& parent, const std::string& name, const at::Tensor& hidden,
                          const at::Tensor& source, std::int64_t head_count) {
  const Module module(parent, name);
  const at::Tensor query = Projection(module, "to_q", hidden, false);
  const at::Tensor key = Projection(module, "to_k", source, false);
  const at::Tensor value = Projection(module, "to_v", source, false);
  const at::Tensor attended = Attend(module.options().attention, query, key, value, head_count);
  return Projection(module, "to_out.0", attended, true);
}

at::Tensor FeedForward(const Module& parent, const at::Tensor& hidden) {
  const Module module(parent, "ff");
  const at::Tensor inner = Linear(module, "net.0.proj", hidden);
  if (module.options().is_nhwc) return Linear(module, "net.2", Geglu(inner));
  const auto halves = at::chunk(inner, 2, -1);
  return Linear(module, "net.2", at::mul(halves[0], at::gelu(halves[1])));
}

at::Tensor TransformerBlock(const Module& parent, const std::string& name, at::Tensor hidden,
                            const at::Tensor& text_states, std::int64_t head_count) {
  const Module module(parent, name);
  at::Tensor normed = LayerNorm(module, "norm1", hidden);
  at::Tensor update = AttentionLayer(module, "attn1", normed, normed, head_count);
  std::tie(hidden, normed) = AddAndNormalise(module, "norm2", update, hidden);
  update = AttentionLayer(module, "attn2", normed, text_states, head_count);
  std::tie(hidden, normed) = AddAndNormalise(module, "norm3", update, hidden);
  return at::add(FeedForward(module, normed), hidden);
}

/// [batch, height * width, channels] -> sizes and format of `like`
at::Tensor TokensToPixels(const Module& module, const at::Tensor& tokens, const at::Tensor& like) {
  if (module.options().is_nhwc) return TokensToChannelsLast(tokens, like.size(2), like.size(3));
  return tokens.transpose(1, 2).contiguous().view(like.sizes());
}

at::Tensor Transformer(const Module& parent, const std::string& name, const at::Tensor& input,
                       const at::Tensor& text_states, const UnetBlock& block) {
  const Module module(parent, name);
  const bool is_linear = module.config().has_linear_projection;
  at::Tensor hidden = GroupNorm(module, "norm", input, kTransformerGroupNormEpsilon, false);
  hidden = is_linear ? Linear(module, "proj_in", PixelsToTokens(hidden))
                     : PixelsToTokens(Convolution(module, "proj_in", hidden, 1, 0));
  for (std::int64_t i = 0; i < block.transformer_count; ++i) {
    hidden = TransformerBlock(module, fmt::format("transformer_blocks.{}", i), hidden, text_states,
                              block.head_count);
  }
  hidden = is_linear ? TokensToPixels(module, Linear(module, "proj_out", hidden), input)
                     : Convolution(module, "proj_out", TokensToPixels(module, hidden, input), 1, 0);
  return at::add(hidden, input);
}

at::Tensor Downsample(const Module& parent, const at::Tensor& hidden) {
  const Module module(parent, "downsamplers.0");
  return Convolution(module, "conv", hidden, 2, 1);
}

at::Tensor Upsample(const Module& parent, const at::Tensor& hidden) {
  const Module module(parent, "upsamplers.0");
  const at::Tensor larger =
      at::upsample_nearest2d(hidden, {2 * hidden.size(2), 2 * hidden.size(3)}, 2.0, 2.0);
  return Convolution(module, "conv", larger, 1, 1);
}

/// Resnet `index` of a block and the attention that follows it, if there is one.
at::Tensor Layer(const Module& module, const UnetBlock& block, std::int64_t index,
                 at::Tensor hidden, const at::Tensor& time_embedding,
                 const at::Tensor& text_states) {
  hidden =
      Resnet(module, fmt::format("resnets.{}", index), hidden, time_embedding, block.channel_count);
  if (!block.has_attention) return hidden;
  return Transformer(module, fmt::format("attentions.{}", index), hidden, text_states, block);
}

}  // namespace

torch::Tensor RunUnet(const UnetConfig& config, const UnetOptions& options,
                      const FindWeight& find_weight, const torch::Tensor& latents,
                      const torch::Tensor& timesteps, const torch::Tensor& text_states) {
  const Call call = {.config = config, .options = options, .find_weight = find_weight};
  const Module root(call);
  const at::Tensor time_embedding = TimeEmbedding(root, timesteps, latents.scalar_type());
  const auto format =
      options.is_nhwc ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
  at::Tensor hidden = Convolution(root, "conv_in", latents.contiguous(format), 1, 1);

  std::vector<at::Tensor> skips = {hidden};
  for (std::size_t i = 0; i < config.down_blocks.size(); ++i) {
    const UnetBlock& block = config.down_blocks[i];
    const Module module(root, fmt::format("down_blocks.{}", i));
    for (std::int64_t j = 0; j < block.resnet_count; ++j) {
      hidden = Layer(module, block, j, hidden, time_embedding, text_states);
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
    hidden = Layer(module, block, 0, hidden, time_embedding, text_states);
    hidden = Resnet(module, "resnets.1", hidden, time_embedding, block.channel_count);
  }

  for (std::size_t i = 0; i < config.up_blocks.size(); ++i) {
    const UnetBlock& block = config.up_blocks[i];
    const Module module(root, fmt::format("up_blocks.{}", i));
    for (std::int64_t j = 0; j < block.resnet_count; ++j) {
      hidden = at::cat({hidden, skips.back()}, 1);
      skips.pop_back();
      hidden = Layer(module, block, j, hidden, time_embedding, text_states);
    }
    if (block.has_resample) hidden = Upsample(module, hidden);
  }

  hidden = GroupNorm(root, "conv_norm_out", hidden, config.norm_epsilon, true);
  return Convolution(root, "conv_out", hidden, 1, 1);
}

}  // namespace stint
