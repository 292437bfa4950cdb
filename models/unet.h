// Stable Diffusion's UNet2DConditionModel as plain functions over named weights: any device, any
// dtype. Names are those of diffusers. Nothing here knows training, sampling or files.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "models/attention.h"
#include "models/unet_config.h"

namespace stint {

struct WeightSpec {
  std::string name{};  // "down_blocks.0.resnets.0.conv1.weight".
  std::vector<std::int64_t> sizes{};
};

/// All weights in the order in which the forward pass first uses them: gradients become final in
/// the reverse order.
std::vector<WeightSpec> UnetWeights(const UnetConfig& config);

/// Low-rank adapters of to_q, to_k, to_v and to_out.0 of every attention, in the same order:
/// "<module>.lora_A.weight" [rank, in] and "<module>.lora_B.weight" [out, rank].
std::vector<WeightSpec> UnetAdapters(const UnetConfig& config, std::int64_t rank);

/// How a weight lies in memory. 1x1 convolutions are matrix products on channels_last images.
torch::MemoryFormat FormatOf(const WeightSpec& spec, bool is_nhwc);

/// The weight of that name.
using FindWeight = std::function<torch::Tensor(const std::string& name)>;

struct UnetOptions {
  AttentionKind attention{};
  bool has_adapters = false;  // Add to_x.lora_B(to_x.lora_A(x)) to each adapted projection.
  bool is_nhwc = false;       // Keep images in channels_last and run Stint's own ops. Convolution
                              // weights should be in FormatOf's format.
};

/// Predicts the noise in `latents`. Differentiable; opens a ModuleScope for each module.
/// latents [batch, channels, height, width], timesteps int64 [batch],
/// text_states [batch, token_count, cross attention size] -> like latents
torch::Tensor RunUnet(const UnetConfig& config, const UnetOptions& options,
                      const FindWeight& find_weight, const torch::Tensor& latents,
                      const torch::Tensor& timesteps, const torch::Tensor& text_states);

}  // namespace stint
