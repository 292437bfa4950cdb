// Stable Diffusion's UNet2DConditionModel as plain functions over named weights: any device, any
// dtype. Names are those of diffusers. Nothing here knows training, sampling or files.
#pragma once

#include <torch/types.h>

#include "models/attention.h"
#include "models/blocks.h"
#include "models/unet_config.h"
#include "models/weights.h"

namespace stint {

/// How a weight lies in memory. 1x1 convolutions are matrix products on channels_last images.
torch::MemoryFormat FormatOf(const WeightSpec& spec, bool is_nhwc);

struct UnetOptions {
  AttentionKind attention{};
  bool has_adapters = false;  // Add to_x.lora_B(to_x.lora_A(x)) to each adapted projection.
  bool is_nhwc = false;       // Keep images in channels_last and run Stint's own ops. Convolution
                              // weights should be in FormatOf's format.
};

struct UnetInputs {
  torch::Tensor latents{};      // [batch, channels, height, width].
  torch::Tensor timesteps{};    // int64 [batch].
  torch::Tensor text_states{};  // [batch, token_count, cross attention size].
  // Models with addition, else undefined:
  torch::Tensor pooled_text{};  // [batch, pooled text size].
  torch::Tensor time_ids{};     // float32 [batch, kTimeIdCount].
};

/// Predicts the noise in the latents (or what else it was trained for). Differentiable; opens a
/// ModuleScope for each module.
/// -> like latents
torch::Tensor RunUnet(const UnetConfig& config, const UnetOptions& options,
                      const FindWeight& find_weight, const UnetInputs& inputs);

}  // namespace stint
