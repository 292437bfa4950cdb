// The shape of the KL autoencoder between pictures and latents, read from its diffusers
// config.json. Knows no LibTorch.
#pragma once

#include <cstdint>
#include <vector>

#include "models/config_reader.h"

namespace stint {

struct VaeConfig {
  std::int64_t picture_channel_count = 0;      //
  std::int64_t latent_channel_count = 0;       //
  std::vector<std::int64_t> channel_counts{};  // Of each resolution, from the picture's down.
  std::int64_t resnet_count = 0;               // Of a block of the encoder; the decoder's have one
                                               // more.
  std::int64_t group_count = 0;                // Of every group norm.
  double scaling_factor = 0;                   // The UNet's latents are the encoder's times this.
  bool needs_float32 = false;                  // Overflows in float16 (SDXL's).

  /// Pixels along one edge of a latent's pixel.
  std::int64_t PxPerLatent() const { return std::int64_t{1} << (channel_counts.size() - 1); }
};

/// @throws InputError naming the place of keys that Stint does not know, features that it does not
/// have, and numbers that do not go together.
VaeConfig ReadVaeConfig(const ConfigReader& reader);

}  // namespace stint
