#include "models/vae.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

namespace stint {
namespace {

constexpr double kNormEpsilon = 1e-6;

at::Tensor VaeResnet(const Module& parent, std::int64_t index, const at::Tensor& hidden,
                     std::int64_t channel_count) {
  return Resnet(parent, fmt::format("resnets.{}", index), hidden, /*time_embedding=*/{},
                channel_count, kNormEpsilon);
}

/// Every pixel attends to every pixel, with one head.
at::Tensor PixelAttention(const Module& parent, const at::Tensor& input) {
  const Module module(parent, "attentions.0");
  const at::Tensor hidden =
      PixelsToTokens(GroupNorm(module, "group_norm", input, kNormEpsilon, false));
  const at::Tensor query = Projection(module, "to_q", hidden, true);
  const at::Tensor key = Projection(module, "to_k", hidden, true);
  const at::Tensor value = Projection(module, "to_v", hidden, true);
  const at::Tensor attended = Attend(module.call().attention, query, key, value, {});
  return at::add(TokensToPixels(module, Projection(module, "to_out.0", attended, true), input),
                 input);
}

at::Tensor Middle(const Module& parent, at::Tensor hidden) {
  const Module module(parent, "mid_block");
  const std::int64_t channel_count = hidden.size(1);
  hidden = VaeResnet(module, 0, hidden, channel_count);
  hidden = PixelAttention(module, hidden);
  return VaeResnet(module, 1, hidden, channel_count);
}

/// Half as high and wide; unlike the UNet's, it pads below and on the right only.
at::Tensor Downsample(const Module& parent, const at::Tensor& hidden) {
  const Module module(parent, "downsamplers.0");
  return Convolution(module, "conv", at::constant_pad_nd(hidden, {0, 1, 0, 1}), 2, 0);
}

at::Tensor NormAndConvolution(const Module& module, const at::Tensor& hidden) {
  const at::Tensor normed = GroupNorm(module, "conv_norm_out", hidden, kNormEpsilon, true);
  return Convolution(module, "conv_out", normed, 1, 1);
}

ModelCall CallOf(const VaeConfig& config, AttentionKind attention, const FindWeight& find_weight) {
  return {.find_weight = find_weight, .attention = attention, .group_count = config.group_count};
}

}  // namespace

AttentionKind VaeAttention(AttentionKind kind) {
  const bool has_small_heads = kind == AttentionKind::kFlash || kind == AttentionKind::kCudnn;
  return has_small_heads ? AttentionKind::kEfficient : kind;
}

torch::Tensor EncodePicture(const VaeConfig& config, AttentionKind attention,
                            const FindWeight& find_weight, const torch::Tensor& picture) {
  const ModelCall call = CallOf(config, attention, find_weight);
  const Module root(call);
  at::Tensor hidden;
  {
    const Module encoder(root, "encoder");
    hidden = Convolution(encoder, "conv_in", picture, 1, 1);
    for (std::size_t i = 0; i < config.channel_counts.size(); ++i) {
      const Module block(encoder, fmt::format("down_blocks.{}", i));
      for (std::int64_t j = 0; j < config.resnet_count; ++j) {
        hidden = VaeResnet(block, j, hidden, config.channel_counts[i]);
      }
      if (i + 1 < config.channel_counts.size()) hidden = Downsample(block, hidden);
    }
    hidden = Middle(encoder, hidden);
    hidden = NormAndConvolution(encoder, hidden);
  }
  return Convolution(root, "quant_conv", hidden, 1, 0);
}

torch::Tensor SampleLatents(const VaeConfig& config, const torch::Tensor& moments,
                            const torch::Tensor& noise) {
  constexpr double kMinLogVariance = -30;
  constexpr double kMaxLogVariance = 20;
  const ModuleScope module("sample");
  const auto halves = at::chunk(moments, 2, 1);
  const at::Tensor log_variance = at::clamp(halves[1], kMinLogVariance, kMaxLogVariance);
  const at::Tensor deviation = at::exp(at::mul(log_variance, 0.5));
  return at::mul(at::add(halves[0], at::mul(deviation, noise)), config.scaling_factor);
}

torch::Tensor DecodeLatents(const VaeConfig& config, AttentionKind attention,
                            const FindWeight& find_weight, const torch::Tensor& latents) {
  const ModelCall call = CallOf(config, attention, find_weight);
  const Module root(call);
  at::Tensor hidden = at::div(latents, config.scaling_factor);
  hidden = Convolution(root, "post_quant_conv", hidden, 1, 0);
  const Module decoder(root, "decoder");
  hidden = Convolution(decoder, "conv_in", hidden, 1, 1);
  hidden = Middle(decoder, hidden);
  for (std::size_t i = 0; i < config.channel_counts.size(); ++i) {
    const Module block(decoder, fmt::format("up_blocks.{}", i));
    const std::int64_t channel_count = config.channel_counts[config.channel_counts.size() - 1 - i];
    for (std::int64_t j = 0; j <= config.resnet_count; ++j) {
      hidden = VaeResnet(block, j, hidden, channel_count);
    }
    if (i + 1 < config.channel_counts.size()) hidden = Upsample(block, hidden);
  }
  return NormAndConvolution(decoder, hidden);
}

}  // namespace stint
