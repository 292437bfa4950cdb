// A whole model on the disk: what its configurations are, its tokenizers, and the checkpoint that
// its weights lie in. No LibTorch.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "files/checkpoint.h"
#include "models/pipeline_config.h"
#include "models/tokenizer.h"

namespace stint {

/// What a user says of a model.
struct ModelChoice {
  std::filesystem::path path{};       // A diffusers folder, or a single file.
  std::string variant{};              // See OpenCheckpoint.
  std::string config{};               // Of a single file: a name that KnownPipeline knows; empty:
                                      // what the file's weights say.
  std::filesystem::path tokenizer{};  // A folder with vocab.json and merges.txt; empty: the
                                      // model's own, which a single file lacks.
};

struct ModelFiles {
  std::string name{};                       // Of the folder or file.
  std::string config_json{};                // As PipelineConfigFromJson takes it.
  std::vector<ClipTokenizer> tokenizers{};  // One for each text encoder.
  bool takes_zeros_for_no_prompt = false;   // See Guidance::kZeros.
  Checkpoint checkpoint{};
};

/// @throws InputError naming file and place: nothing of that name, no model, a pickle, a
/// configuration that Stint does not have; or naming the flag that a single file needs.
ModelFiles OpenModel(const ModelChoice& choice);

}  // namespace stint
