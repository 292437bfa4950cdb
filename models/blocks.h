// The blocks that UNet, text encoders and autoencoder are made of, as functions over named weights:
// any device, any dtype. Differentiable; each opens a ModuleScope for each module.
// Nothing here knows a configuration, training, sampling or files.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "dispatch/scope.h"
#include "models/attention.h"

namespace stint {

/// The weight of that name.
using FindWeight = std::function<torch::Tensor(const std::string& name)>;

/// What every block of one call shares.
struct ModelCall {
  const FindWeight& find_weight;
  AttentionKind attention{};
  std::int64_t group_count = 0;     // Of every group norm.
  bool has_adapters = false;        // Projections have low-rank adapters.
  bool has_float32_scores = false;  // Of every attention.
  bool is_nhwc = false;             // Images are in channels_last, and Stint's own ops run.
};

/// One open module: its path, for weights and for the ops issued while it is open.
class Module {
 public:
  explicit Module(const ModelCall& call) : call_(call) {}  // The root.
  Module(const Module& parent, const std::string& name)
      : call_(parent.call_), path_(parent.path_ + name + "."), scope_(std::in_place, name) {}

  const ModelCall& call() const { return call_; }
  torch::Tensor Weight(const std::string& name) const { return call_.find_weight(path_ + name); }

 private:
  const ModelCall& call_;
  std::string path_;
  std::optional<ModuleScope> scope_;
};

/// With `is_nhwc`, 1x1 convolutions are matrix products.
torch::Tensor Convolution(const Module& parent, const std::string& name, const torch::Tensor& input,
                          std::int64_t stride, std::int64_t padding);

torch::Tensor Linear(const Module& parent, const std::string& name, const torch::Tensor& input);

/// A projection of an attention, with its adapter if the call has them.
torch::Tensor Projection(const Module& parent, const std::string& name, const torch::Tensor& input,
                         bool has_bias);

/// Followed by SiLU if `has_silu`.
torch::Tensor GroupNorm(const Module& parent, const std::string& name, const torch::Tensor& input,
                        double epsilon, bool has_silu);

/// Over the last dimension.
torch::Tensor LayerNorm(const Module& parent, const std::string& name, const torch::Tensor& input,
                        double epsilon);

/// update + hidden, and that normalised.
std::pair<torch::Tensor, torch::Tensor> AddAndNormalise(const Module& parent,
                                                        const std::string& name,
                                                        const torch::Tensor& update,
                                                        const torch::Tensor& hidden,
                                                        double epsilon);

/// input [batch, in channels, height, width] -> [batch, channel_count, height, width].
/// `time_embedding` has its SiLU, the same for every resnet; it is undefined where the model has
/// none.
torch::Tensor Resnet(const Module& parent, const std::string& name, const torch::Tensor& input,
                     const torch::Tensor& time_embedding, std::int64_t channel_count,
                     double norm_epsilon);

/// "upsamplers.0": twice as high and wide.
torch::Tensor Upsample(const Module& parent, const torch::Tensor& input);

/// [batch, channels, height, width] -> [batch, height * width, channels]; a view of channels_last.
torch::Tensor PixelsToTokens(const torch::Tensor& pixels);

/// [batch, height * width, channels] -> sizes and format of `like`
torch::Tensor TokensToPixels(const Module& module, const torch::Tensor& tokens,
                             const torch::Tensor& like);

}  // namespace stint
