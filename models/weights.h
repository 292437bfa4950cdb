// Which weights a model has: names as in diffusers and transformers, sizes from its configuration.
// No LibTorch.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/unet_config.h"

namespace stint {

struct WeightSpec {
  std::string name{};  // "down_blocks.0.resnets.0.conv1.weight".
  std::vector<std::int64_t> sizes{};
};

/// All weights in the order in which the forward pass first uses them: gradients become final in
/// the reverse order.
std::vector<WeightSpec> UnetWeights(const UnetConfig& config);

/// Low-rank adapters of to_q, to_k, to_v and to_out.0 of every attention, in the same order:
/// "<module>.lora_A.weight" [rank, in] and "<module>.lora_B.weight" [out, rank].
std::vector<WeightSpec> UnetAdapters(const UnetConfig& config, std::int64_t rank);

/// Elements of all of them.
std::int64_t ParameterCount(const std::vector<WeightSpec>& weights);

}  // namespace stint
