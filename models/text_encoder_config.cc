#include "models/text_encoder_config.h"

#include <fmt/format.h>

#include <array>
#include <string_view>

namespace stint {
namespace {

constexpr std::int64_t kMaxVocabulary = 1'000'000;
constexpr std::int64_t kMaxLayers = 256;

constexpr std::array<std::string_view, 11> kKnownKeys = {"architectures",
                                                         "eos_token_id",
                                                         "hidden_act",
                                                         "hidden_size",
                                                         "intermediate_size",
                                                         "layer_norm_eps",
                                                         "max_position_embeddings",
                                                         "num_attention_heads",
                                                         "num_hidden_layers",
                                                         "projection_dim",
                                                         "vocab_size"};

/// How a fresh model would start, which library and dtype wrote it, and what only matters while
/// text is made.
constexpr std::array<std::string_view, 9> kIgnoredKeys = {
    "bos_token_id",           "initializer_factor",   "initializer_range",
    "pad_token_id",           "torch_dtype",          "dtype",
    "gradient_checkpointing", "transformers_version", "tie_word_embeddings"};

const nlohmann::json& UnsupportedFeatures() {
  static const nlohmann::json features = {
      {"attention_dropout", 0.0},
      {"dropout", 0.0},
      {"model_type", "clip_text_model"},
  };
  return features;
}

}  // namespace

TextEncoderConfig ReadTextEncoderConfig(const ConfigReader& reader) {
  std::vector<std::string_view> keys(kKnownKeys.begin(), kKnownKeys.end());
  keys.insert(keys.end(), kIgnoredKeys.begin(), kIgnoredKeys.end());
  reader.RefuseOthers(keys, UnsupportedFeatures());

  TextEncoderConfig config = {
      .vocabulary_count = reader.Count("vocab_size", kMaxVocabulary),
      .position_count = reader.Count("max_position_embeddings"),
      .hidden_size = reader.Count("hidden_size"),
      .inner_size = reader.Count("intermediate_size"),
      .layer_count = reader.Count("num_hidden_layers", kMaxLayers),
      .head_count = reader.Count("num_attention_heads"),
      .norm_epsilon = reader.Number("layer_norm_eps", 1e-5),
      .end_token_id = reader.CountOr("eos_token_id", 49407, kMaxVocabulary),
  };
  if (config.hidden_size % config.head_count != 0) {
    reader.Fail("hidden_size", fmt::format("is {}, which its {} attention heads do not divide",
                                           config.hidden_size, config.head_count));
  }
  const std::string activation = reader.Text("hidden_act", "quick_gelu");
  if (activation != "quick_gelu" && activation != "gelu") {
    reader.Fail("hidden_act",
                fmt::format("is \"{}\"; Stint knows quick_gelu and gelu", activation));
  }
  config.is_quick_gelu = activation == "quick_gelu";
  // Without the name of its class, a configuration does not say whether it has a projection.
  const nlohmann::json with_projection = {"CLIPTextModelWithProjection"};
  const nlohmann::json without = {"CLIPTextModel"};
  const nlohmann::json& architectures = reader.At("architectures");
  if (architectures != with_projection && architectures != without) {
    reader.Fail("architectures", fmt::format("is {}; Stint knows {} and {}", architectures.dump(),
                                             without.dump(), with_projection.dump()));
  }
  if (architectures == with_projection) config.projection_size = reader.Count("projection_dim");
  return config;
}

}  // namespace stint
