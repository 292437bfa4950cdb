#include "models/random_pipeline.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "files/checkpoint.h"
#include "files/output_folder.h"
#include "ir/errors.h"
#include "ir/file.h"
#include "models/initial_weight.h"
#include "models/known_models.h"
#include "models/pipeline_config.h"
#include "models/scalar_types.h"
#include "models/tokenizer_files.h"

namespace stint {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

bool IsTextEncoder(const std::string& part) { return part.starts_with("text_encoder"); }

/// "text_encoder_2" -> "tokenizer_2".
std::string TokenizerOf(const std::string& text_encoder) {
  return "tokenizer" + text_encoder.substr(std::string_view("text_encoder").size());
}

/// Which library and class each part is, for DiffusionPipeline.from_pretrained.
Json ModelIndex(const nlohmann::json& parts) {
  const bool is_xl = parts.contains("text_encoder_2");
  const Json nobody = {nullptr, nullptr};
  Json index = {{"_class_name", is_xl ? "StableDiffusionXLPipeline" : "StableDiffusionPipeline"},
                {"feature_extractor", nobody}};
  if (is_xl) {
    index["force_zeros_for_empty_prompt"] = true;
    index["image_encoder"] = nobody;
  } else {
    index["image_encoder"] = nobody;
    index["requires_safety_checker"] = false;
    index["safety_checker"] = nobody;
  }
  for (const auto& [part, config] : parts.items()) {
    if (IsTextEncoder(part)) {
      index[part] = {"transformers", config.at("architectures").at(0)};
      index[TokenizerOf(part)] = {"transformers", "CLIPTokenizer"};
    } else {
      index[part] = {"diffusers", config.at("_class_name")};
    }
  }
  return index;
}

void MakeFolder(const fs::path& folder) {
  std::error_code error;
  fs::create_directory(folder, error);
  if (error) throw InputError(folder.string(), fmt::format("cannot be made ({})", error.message()));
}

/// Configurations and tokenizers.
void WriteWords(const RandomPipeline& request, const nlohmann::json& parts,
                const PipelineConfig& config, const fs::path& folder) {
  WriteText(folder / "model_index.json", ModelIndex(parts).dump(2) + "\n");
  for (const auto& [part, part_config] : parts.items()) {
    MakeFolder(folder / part);
    WriteText(folder / part / (part == "scheduler" ? "scheduler_config.json" : "config.json"),
              part_config.dump(2) + "\n");
  }
  for (std::size_t i = 0; i < config.text_encoders.size(); ++i) {
    const TextEncoderConfig& encoder = config.text_encoders[i];
    const fs::path tokenizer = folder / TokenizerOf(i == 0 ? "text_encoder" : "text_encoder_2");
    MakeFolder(tokenizer);
    const std::int64_t merge_count = MergeCount(encoder.vocabulary_count);
    WriteTokenizerFiles(
        tokenizer,
        request.merges ? ReadMerges(*request.merges, merge_count) : MakeRuleMerges(merge_count),
        encoder.vocabulary_count, encoder.position_count,
        encoder.is_quick_gelu ? kClipPadToken : kOpenClipPadToken);
  }
}

ModelPart PartNamed(const std::string& name) {
  const auto* const found =
      std::ranges::find_if(kModelParts, [&](ModelPart part) { return NameOf(part) == name; });
  Check(found != kModelParts.end(), "every component is a part of checkpoints");
  return *found;
}

}  // namespace

WrittenPipeline WriteRandomPipeline(const RandomPipeline& request, const fs::path& folder,
                                    const OnTensor& on_tensor) {
  const std::optional<std::string> text = KnownPipeline(request.model);
  if (!text) {
    throw InputError("--model",
                     fmt::format("is '{}', not one of {}", request.model, KnownPipelineNames()));
  }
  const PipelineConfig config = PipelineConfigFromJson(*text, request.model);
  const at::ScalarType scalar_type = ScalarTypeOf(request.dtype).value();
  const std::vector<Component> components = ComponentsOf(config);
  std::int64_t done_count = 0;
  std::int64_t total_count = 0;
  WrittenPipeline written;
  PartSources sources;
  for (const Component& component : components) {
    for (const WeightSpec& spec : component.weights) {
      ++total_count;
      written.parameter_count += ElementCount(spec.sizes);
      written.size_bytes += ByteCount(request.dtype, spec.sizes);
      const auto write = [&, name = component.name + "." + spec.name,
                          sizes = spec.sizes](const ByteSink& sink) {
        if (on_tensor) on_tensor(done_count++, total_count);
        const at::Tensor value = at::empty(sizes, scalar_type);
        FillInitialWeight(name, request.seed, value);
        sink({static_cast<const std::byte*>(value.const_data_ptr()), value.nbytes()});
      };
      sources[PartNamed(component.name)].push_back(
          {.name = spec.name, .dtype = request.dtype, .sizes = spec.sizes, .write = write});
    }
  }
  OutputFolder output(folder);
  WriteWords(request, nlohmann::json::parse(*text), config, output.temporary());
  WriteDiffusersFolder(output.temporary(), sources, request.max_shard_bytes);
  output.Commit();
  return written;
}

}  // namespace stint
