#include "models/model_files.h"

#include <fmt/format.h>

#include <optional>
#include <system_error>

#include "ir/errors.h"
#include "models/known_models.h"
#include "models/tokenizer_files.h"

namespace stint {
namespace {

namespace fs = std::filesystem;

/// A single file does not say how its model was trained, but for SD 1.x and SDXL there is one way.
std::string ConfigNameOf(const ModelChoice& choice, ModelFamily family) {
  if (!choice.config.empty()) return choice.config;
  switch (family) {
    case ModelFamily::kSd1:
      return "sd15";
    case ModelFamily::kSd2:
      throw InputError("--config", fmt::format("is needed: {} is SD 2.x, and a single file does "
                                               "not say whether sd21 or sd21-768",
                                               choice.path.string()));
    case ModelFamily::kSdxl:
      return "sdxl";
  }
  throw std::logic_error("a family without a configuration");
}

/// One folder serves all text encoders: their vocabularies are the same, what pads is not.
std::vector<ClipTokenizer> OneForAll(const fs::path& folder, const PipelineConfig& config) {
  std::vector<ClipTokenizer> tokenizers;
  for (const TextEncoderConfig& encoder : config.text_encoders) {
    ClipTokenizer& tokenizer = tokenizers.emplace_back(ClipTokenizer::FromFolder(folder));
    tokenizer.SetPad(std::string(encoder.is_quick_gelu ? kClipPadToken : kOpenClipPadToken),
                     folder.string());
  }
  return tokenizers;
}

ModelFiles OpenFolder(const ModelChoice& choice) {
  ModelFiles model = {.config_json = ReadPipelineFolder(choice.path),
                      .checkpoint = OpenCheckpoint(choice.path, choice.variant)};
  const PipelineConfig config = PipelineConfigFromJson(model.config_json, choice.path.string());
  model.takes_zeros_for_no_prompt = TakesZerosForNoPrompt(choice.path, config);
  if (!choice.tokenizer.empty()) {
    model.tokenizers = OneForAll(choice.tokenizer, config);
    return model;
  }
  for (std::size_t i = 0; i < config.text_encoders.size(); ++i) {
    model.tokenizers.push_back(
        ClipTokenizer::FromFolder(choice.path / (i == 0 ? "tokenizer" : "tokenizer_2")));
  }
  return model;
}

ModelFiles OpenSingleFile(const ModelChoice& choice) {
  ModelFiles model = {.checkpoint = OpenCheckpoint(choice.path, choice.variant)};
  if (model.checkpoint.layout == CheckpointLayout::kComponentFile) {
    throw InputError(choice.path.string(), "holds one component, not a whole model");
  }
  const std::string name = ConfigNameOf(choice, model.checkpoint.family);
  const std::optional<std::string> text = KnownPipeline(name);
  if (!text) {
    throw InputError("--config", fmt::format("is '{}', not one of {}", name, KnownPipelineNames()));
  }
  model.config_json = *text;
  const PipelineConfig config = PipelineConfigFromJson(*text, name);
  model.takes_zeros_for_no_prompt = TakesZerosForNoPrompt({}, config);
  if (choice.tokenizer.empty()) {
    throw InputError("--tokenizer", fmt::format("is needed: {} is a single file, which has no "
                                                "tokenizer; name a folder with vocab.json and "
                                                "merges.txt",
                                                choice.path.string()));
  }
  model.tokenizers = OneForAll(choice.tokenizer, config);
  return model;
}

}  // namespace

ModelFiles OpenModel(const ModelChoice& choice) {
  std::error_code ignored;
  if (!fs::exists(choice.path, ignored)) {
    throw InputError(choice.path.string(), "there is no folder or file of this name");
  }
  const bool is_folder = fs::is_directory(choice.path, ignored);
  ModelFiles model = is_folder ? OpenFolder(choice) : OpenSingleFile(choice);
  const fs::path whole = fs::absolute(choice.path).lexically_normal();
  model.name = (whole.has_filename() ? whole : whole.parent_path()).filename().string();
  return model;
}

}  // namespace stint
