#include "models/text_encoder.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "ir/errors.h"

namespace stint {
namespace {

/// The end token id that stands for "the highest id" in configurations.
constexpr std::int64_t kHighestId = 2;

at::Tensor Embeddings(const Module& parent, const at::Tensor& token_ids) {
  const Module module(parent, "embeddings");
  at::Tensor words;
  {
    const Module table(module, "token_embedding");
    words = at::embedding(table.Weight("weight"), token_ids);
  }
  const Module table(module, "position_embedding");
  return at::add(words, table.Weight("weight").slice(0, 0, token_ids.size(1)));
}

at::Tensor Attention(const Module& parent, const TextEncoderConfig& config,
                     const at::Tensor& hidden) {
  const Module module(parent, "self_attn");
  const at::Tensor query = Projection(module, "q_proj", hidden, true);
  const at::Tensor key = Projection(module, "k_proj", hidden, true);
  const at::Tensor value = Projection(module, "v_proj", hidden, true);
  const at::Tensor attended = Attend(module.call().attention, query, key, value,
                                     {.head_count = config.head_count, .is_causal = true});
  return Projection(module, "out_proj", attended, true);
}

at::Tensor FeedForward(const Module& parent, const TextEncoderConfig& config,
                       const at::Tensor& hidden) {
  constexpr double kQuickGeluScale = 1.702;
  const Module module(parent, "mlp");
  const at::Tensor inner = Linear(module, "fc1", hidden);
  const at::Tensor active = config.is_quick_gelu
                                ? at::mul(inner, at::sigmoid(at::mul(inner, kQuickGeluScale)))
                                : at::gelu(inner);
  return Linear(module, "fc2", active);
}

at::Tensor Layer(const Module& parent, const std::string& name, const TextEncoderConfig& config,
                 at::Tensor hidden) {
  const Module module(parent, name);
  const at::Tensor normed = LayerNorm(module, "layer_norm1", hidden, config.norm_epsilon);
  hidden = at::add(hidden, Attention(module, config, normed));
  const at::Tensor again = LayerNorm(module, "layer_norm2", hidden, config.norm_epsilon);
  return at::add(hidden, FeedForward(module, config, again));
}

/// The state at the first end token. states [batch, token_count, size] -> [batch, size]
at::Tensor AtEndToken(const TextEncoderConfig& config, const at::Tensor& states,
                      const at::Tensor& token_ids) {
  const at::Tensor is_end = config.end_token_id == kHighestId
                                ? token_ids
                                : at::eq(token_ids, config.end_token_id).to(at::kInt);
  const at::Tensor positions = at::argmax(is_end, 1).view({-1, 1, 1});
  return at::gather(states, 1, positions.expand({-1, 1, states.size(2)})).squeeze(1);
}

}  // namespace

TextStates RunTextEncoder(const TextEncoderConfig& config, const TextEncoderOptions& options,
                          const FindWeight& find_weight, const torch::Tensor& token_ids) {
  const ModelCall call = {.find_weight = find_weight, .attention = options.attention};
  const Module root(call);
  const bool needs_last = options.wants_last || options.wants_pooled;
  TextStates states;
  at::Tensor last;
  {
    const Module module(root, "text_model");
    at::Tensor hidden = Embeddings(module, token_ids);
    for (std::int64_t i = 0; i < config.layer_count; ++i) {
      const bool is_last = i + 1 == config.layer_count;
      if (is_last && options.wants_penultimate) states.penultimate = hidden;
      if (is_last && !needs_last) break;
      hidden = Layer(module, fmt::format("encoder.layers.{}", i), config, hidden);
    }
    if (needs_last) last = LayerNorm(module, "final_layer_norm", hidden, config.norm_epsilon);
  }
  if (options.wants_last) states.last = last;
  if (!options.wants_pooled) return states;

  Check(config.projection_size > 0, "only encoders with a projection pool their text");
  const Module module(root, "text_projection");
  states.pooled = at::linear(AtEndToken(config, last, token_ids), module.Weight("weight"));
  return states;
}

}  // namespace stint
