// The weights of a whole model from a checkpoint's files, with adapters merged into them. Each is
// read when it is asked for: besides the files' pages in memory there is one weight at a time.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "files/checkpoint.h"
#include "models/pipeline_config.h"
#include "models/workload.h"

namespace stint {

/// A file of LoRA adapters and how much of it is wanted.
struct LoraChoice {
  std::filesystem::path path{};
  double scale = 1;
};

/// Weights by part and name, as a "generate" program has them: "unet.conv_in.weight". A weight W
/// with adapters becomes W + the sum of scale * alpha / rank * up * down, computed in float32.
/// @throws InputError naming file and key: of a weight that is missing, or of other sizes than
/// `config` says, or of no floating dtype; of an adapter whose module the model does not have.
std::unique_ptr<ValueSource> MakeCheckpointWeights(Checkpoint checkpoint,
                                                   const std::filesystem::path& path,
                                                   const PipelineConfig& config,
                                                   const std::vector<LoraChoice>& loras);

}  // namespace stint
