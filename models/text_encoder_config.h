// The shape of a CLIP text encoder, read from its transformers config.json. Knows no LibTorch.
#pragma once

#include <cstdint>
#include <string>

#include "models/config_reader.h"

namespace stint {

struct TextEncoderConfig {
  std::int64_t vocabulary_count = 0;
  std::int64_t position_count = 0;   // Longest prompt, in tokens.
  std::int64_t hidden_size = 0;      //
  std::int64_t inner_size = 0;       // Of the feed-forward layers.
  std::int64_t layer_count = 0;      //
  std::int64_t head_count = 0;       //
  std::int64_t projection_size = 0;  // Of the pooled text; 0: there is no projection.
  bool is_quick_gelu = false;        // x * sigmoid(1.702 x) instead of the exact gelu.
  double norm_epsilon = 0;           //
  std::int64_t end_token_id = 0;     // Where the text is pooled; 2, a historical mistake of the
                                     // configurations, means the highest id.
};

/// @throws InputError naming the place of keys that Stint does not know, features that it does not
/// have, and numbers that do not go together.
TextEncoderConfig ReadTextEncoderConfig(const ConfigReader& reader);

}  // namespace stint
