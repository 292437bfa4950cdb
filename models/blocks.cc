#include "models/blocks.h"

#include <ATen/ATen.h>

#include "kernels/affine.h"
#include "kernels/group_norm.h"
#include "kernels/layer_norm.h"

namespace stint {
namespace {

/// [batch, height * width, channels] -> [batch, channels, height, width] in channels_last, a view.
at::Tensor TokensToChannelsLast(const at::Tensor& tokens, std::int64_t height, std::int64_t width) {
  return tokens.view({tokens.size(0), height, width, tokens.size(2)}).permute({0, 3, 1, 2});
}

/// input [..., in size], weight [out size, in size], bias [out size] -> [..., out size]
at::Tensor AffineMap(const Module& module, const at::Tensor& input, const at::Tensor& weight,
                     const at::Tensor& bias) {
  return module.call().is_nhwc ? Affine(input, weight, bias) : at::linear(input, weight, bias);
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
      {.group_count = module.call().group_count, .epsilon = epsilon, .has_silu = true});
}

}  // namespace

at::Tensor Convolution(const Module& parent, const std::string& name, const at::Tensor& input,
                       std::int64_t stride, std::int64_t padding) {
  const Module module(parent, name);
  const at::Tensor weight = module.Weight("weight");
  if (module.call().is_nhwc && weight.size(2) == 1 && stride == 1) {
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

at::Tensor Projection(const Module& parent, const std::string& name, const at::Tensor& input,
                      bool has_bias) {
  const Module module(parent, name);
  at::Tensor output = has_bias
                          ? AffineMap(module, input, module.Weight("weight"), module.Weight("bias"))
                          : at::linear(input, module.Weight("weight"));
  if (!module.call().has_adapters) return output;
  const at::Tensor inner = at::linear(input, module.Weight("lora_A.weight"));
  return at::add(output, at::linear(inner, module.Weight("lora_B.weight")));
}

at::Tensor GroupNorm(const Module& parent, const std::string& name, const at::Tensor& input,
                     double epsilon, bool has_silu) {
  const Module module(parent, name);
  const std::int64_t group_count = module.call().group_count;
  if (module.call().is_nhwc) {
    return GroupNormNhwc(input, std::nullopt, module.Weight("weight"), module.Weight("bias"),
                         {.group_count = group_count, .epsilon = epsilon, .has_silu = has_silu});
  }
  const at::Tensor output =
      at::group_norm(input, group_count, module.Weight("weight"), module.Weight("bias"), epsilon);
  return has_silu ? at::silu(output) : output;
}

at::Tensor LayerNorm(const Module& parent, const std::string& name, const at::Tensor& input,
                     double epsilon) {
  const Module module(parent, name);
  if (module.call().is_nhwc) {
    return AddLayerNorm(input, std::nullopt, module.Weight("weight"), module.Weight("bias"),
                        epsilon)
        .second;
  }
  return at::layer_norm(input, {input.size(-1)}, module.Weight("weight"), module.Weight("bias"),
                        epsilon);
}

std::pair<at::Tensor, at::Tensor> AddAndNormalise(const Module& parent, const std::string& name,
                                                  const at::Tensor& update,
                                                  const at::Tensor& hidden, double epsilon) {
  if (!parent.call().is_nhwc) {
    const at::Tensor sum = at::add(update, hidden);
    return {sum, LayerNorm(parent, name, sum, epsilon)};
  }
  const Module module(parent, name);
  return AddLayerNorm(update, hidden, module.Weight("weight"), module.Weight("bias"), epsilon);
}

at::Tensor Resnet(const Module& parent, const std::string& name, const at::Tensor& input,
                  const at::Tensor& time_embedding, std::int64_t channel_count,
                  double norm_epsilon) {
  const Module module(parent, name);
  at::Tensor hidden = GroupNorm(module, "norm1", input, norm_epsilon, true);
  if (module.call().is_nhwc && time_embedding.defined()) {
    const at::Tensor shift = Linear(module, "time_emb_proj", time_embedding);
    hidden = ShiftedConvolution(module, hidden, shift, norm_epsilon);
  } else {
    hidden = Convolution(module, "conv1", hidden, 1, 1);
    if (time_embedding.defined()) {
      const at::Tensor shift = Linear(module, "time_emb_proj", time_embedding);
      hidden = at::add(hidden, shift.unsqueeze(2).unsqueeze(3));
    }
    hidden = GroupNorm(module, "norm2", hidden, norm_epsilon, true);
  }
  hidden = Convolution(module, "conv2", hidden, 1, 1);
  if (input.size(1) == channel_count) return at::add(input, hidden);
  return at::add(Convolution(module, "conv_shortcut", input, 1, 0), hidden);
}

at::Tensor Upsample(const Module& parent, const at::Tensor& input) {
  const Module module(parent, "upsamplers.0");
  const at::Tensor larger =
      at::upsample_nearest2d(input, {2 * input.size(2), 2 * input.size(3)}, 2.0, 2.0);
  return Convolution(module, "conv", larger, 1, 1);
}

at::Tensor PixelsToTokens(const at::Tensor& pixels) {
  return pixels.flatten(2).transpose(1, 2).contiguous();
}

at::Tensor TokensToPixels(const Module& module, const at::Tensor& tokens, const at::Tensor& like) {
  if (module.call().is_nhwc) return TokensToChannelsLast(tokens, like.size(2), like.size(3));
  return tokens.transpose(1, 2).contiguous().view(like.sizes());
}

}  // namespace stint
