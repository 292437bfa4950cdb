// Which weights text encoders and autoencoder have; the UNet's are in weights.h. No LibTorch.
#pragma once

#include <vector>

#include "models/text_encoder_config.h"
#include "models/vae_config.h"
#include "models/weights.h"

namespace stint {

/// In the order in which the forward pass first uses them.
std::vector<WeightSpec> TextEncoderWeights(const TextEncoderConfig& config);

/// Pictures to latents: encoder and quant_conv.
std::vector<WeightSpec> VaeEncoderWeights(const VaeConfig& config);
/// Latents to pictures: post_quant_conv and decoder.
std::vector<WeightSpec> VaeDecoderWeights(const VaeConfig& config);

}  // namespace stint
