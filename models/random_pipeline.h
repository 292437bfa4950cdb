// A whole model with random weights as a diffusers folder of real size: what can be tried without a
// download. Its pictures are noise.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "files/tensor.h"

namespace stint {

struct RandomPipeline {
  std::string model{};     // One that KnownPipeline knows: "sdxl".
  std::uint64_t seed = 0;  // Weights are those of "seed:N" (MakeWeightSource) in a "generate" task.
  Dtype dtype = Dtype::kF32;  // kF32, kF16 or kBf16.
  /// CLIP's merges (see ReadMerges); nothing: those of a rule (see MakeRuleMerges).
  std::optional<std::filesystem::path> merges{};
  std::int64_t max_shard_bytes = std::int64_t{10} << 30;  // See WriteShards.
};

/// Called before each tensor is made; what it throws ends the writing, and nothing is left.
using OnTensor = std::function<void(std::int64_t done_count, std::int64_t total_count)>;

struct WrittenPipeline {
  std::int64_t parameter_count = 0;
  std::int64_t size_bytes = 0;  // Of the weights.
};

/// Writes model_index.json, the configurations, the tokenizers and the weights into `folder`, whole
/// or not at all; in the memory of the largest tensor.
/// @throws InputError naming `--model`, a file of merges, or `folder` where it exists or the disk
/// refuses.
WrittenPipeline WriteRandomPipeline(const RandomPipeline& request,
                                    const std::filesystem::path& folder, const OnTensor& on_tensor);

}  // namespace stint
