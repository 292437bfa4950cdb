// The KL autoencoder between pictures and latents, as plain functions over named weights: any
// device, any dtype. Names are those of diffusers. Nothing here knows files or sampling.
#pragma once

#include <torch/types.h>

#include "models/attention.h"
#include "models/blocks.h"
#include "models/vae_config.h"

namespace stint {

/// The attention kernel for the autoencoder's one head of 512 channels on a device where the rest
/// uses `kind`: some kernels have no heads that large, or no float32.
AttentionKind VaeAttention(AttentionKind kind);

/// picture [batch, picture channels, height, width], values in [-1, 1]
/// -> [batch, 2 * latent channels, height / 8, width / 8]: means, then logarithms of variances.
torch::Tensor EncodePicture(const VaeConfig& config, AttentionKind attention,
                            const FindWeight& find_weight, const torch::Tensor& picture);

/// A latent as the UNet sees it, drawn from what EncodePicture returned; `noise` is normal and of
/// the latent's sizes.
torch::Tensor SampleLatents(const VaeConfig& config, const torch::Tensor& moments,
                            const torch::Tensor& noise);

/// latents [batch, latent channels, h, w], as the UNet sees them -> [batch, picture channels,
/// 8 h, 8 w], values around [-1, 1].
torch::Tensor DecodeLatents(const VaeConfig& config, AttentionKind attention,
                            const FindWeight& find_weight, const torch::Tensor& latents);

}  // namespace stint
