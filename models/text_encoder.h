// CLIP's text encoder as plain functions over named weights: any device, any dtype. Names are those
// of transformers. Nothing here knows words or files.
#pragma once

#include <torch/types.h>

#include "models/attention.h"
#include "models/blocks.h"
#include "models/text_encoder_config.h"

namespace stint {

/// What is wanted of the encoder: layers and weights that nothing wanted needs are not run.
struct TextEncoderOptions {
  AttentionKind attention{};
  bool wants_last = false;         // The last layer's states, normed: what SD1 and SD2 use.
  bool wants_penultimate = false;  // The states before the last layer, not normed: what SDXL uses.
  bool wants_pooled = false;       // The normed last state at the end token, projected.
};

struct TextStates {
  torch::Tensor last{};         // [batch, token_count, hidden size]; undefined if not wanted.
  torch::Tensor penultimate{};  // The same.
  torch::Tensor pooled{};       // [batch, projection size]; the same.
};

/// token_ids int64 [batch, token_count]. Opens a ModuleScope for each module.
TextStates RunTextEncoder(const TextEncoderConfig& config, const TextEncoderOptions& options,
                          const FindWeight& find_weight, const torch::Tensor& token_ids);

}  // namespace stint
