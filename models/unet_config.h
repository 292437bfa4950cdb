// The shape of a UNet2DConditionModel, read from its diffusers config.json. Knows no LibTorch.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace stint {

/// One block on the way down, in the middle, or on the way up.
struct UnetBlock {
  std::int64_t channel_count = 0;      // Of what it returns.
  std::int64_t resnet_count = 0;       // Each followed by attention where there is attention; the
                                       // middle block has one resnet more than attentions.
  bool has_attention = false;          //
  std::int64_t head_count = 0;         // Of each attention.
  std::int64_t transformer_count = 0;  // Transformer blocks of each attention.
  bool has_resample = false;           // Ends with a downsampler or an upsampler.
};

/// The six numbers that SDXL is told of a picture: original height and width, top and left of the
/// crop, target height and width, in pixels. Their customary name is "time ids", because they are
/// embedded as timesteps are.
inline constexpr std::int64_t kTimeIdCount = 6;

struct UnetConfig {
  std::int64_t in_channel_count = 0;
  std::int64_t out_channel_count = 0;
  std::int64_t group_count = 0;           // Of every group norm.
  double norm_epsilon = 0;                // Of the group norms outside of attention.
  std::int64_t cross_attention_size = 0;  // Of one text state.
  bool has_upcast_attention = false;      // Scores of attention are float32 whatever the dtype.
  bool has_linear_projection = false;     // proj_in and proj_out are linear, not 1x1 convolutions.
  bool is_cosine_first = false;           // Of the timestep embedding.
  double frequency_shift = 0;             //
  std::int64_t pooled_text_size = 0;      // SDXL: of the prompt as one vector; 0: unused.
  std::int64_t time_id_embedding_size = 0;  // SDXL: of each time id's embedding.
  std::vector<UnetBlock> down_blocks{};     //
  UnetBlock mid_block{};                    //
  std::vector<UnetBlock> up_blocks{};       // As many as down blocks.

  /// Whether it is told pooled text and time ids beside the prompt (SDXL).
  bool HasAddition() const { return pooled_text_size > 0; }
  std::int64_t TimeEmbeddingSize() const { return 4 * down_blocks.front().channel_count; }
  /// Height and width of a latent must be multiples of this.
  std::int64_t LatentMultiple() const { return std::int64_t{1} << (down_blocks.size() - 1); }
};

/// `where` names the text in errors, usually the file.
/// @throws InputError naming `where` and JSON pointer for malformed JSON, keys that Stint does not
/// know, features that it does not have, and numbers that do not go together.
UnetConfig UnetConfigFromJson(const std::string& text, const std::string& where);

}  // namespace stint
