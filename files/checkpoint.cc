#include "files/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <set>
#include <system_error>
#include <utility>

#include "files/lora.h"
#include "files/safetensors_index.h"
#include "ir/errors.h"
#include "ir/file.h"
#include "ir/quoted.h"

namespace stint {
namespace {

namespace fs = std::filesystem;

std::string StemOf(ModelPart component) {
  const bool is_text =
      component == ModelPart::kTextEncoder || component == ModelPart::kTextEncoder2;
  return is_text ? "model" : "diffusion_pytorch_model";
}

/// Adds the tensors of a file to `tensors`, under the names of today.
void AddFile(const fs::path& path, ModelPart component, TensorMap& tensors,
             std::vector<std::unique_ptr<SafetensorsFile>>& files) {
  files.push_back(std::make_unique<SafetensorsFile>(path));
  for (const auto& [key, tensor] : files.back()->tensors()) {
    const std::string name = component == ModelPart::kVae ? ModernVaeKey(key) : key;
    if (!tensors.emplace(name, tensor).second) {
      throw InputError(path.string() + ":" + Quoted(key), "is in two files");
    }
  }
}

void AddShards(const fs::path& index, ModelPart component, TensorMap& tensors,
               std::vector<std::unique_ptr<SafetensorsFile>>& files) {
  const auto shard_of = ParseSafetensorsIndex(ReadText(index), index.string());
  std::set<std::string> shards;
  for (const auto& [name, shard] : shard_of) shards.insert(shard);
  for (const std::string& shard : shards) {
    AddFile(index.parent_path() / shard, component, tensors, files);
    for (const auto& [name, tensor] : files.back()->tensors()) {
      const auto found = shard_of.find(name);
      if (found == shard_of.end() || found->second != shard) {
        throw InputError(files.back()->path().string() + ":" + Quoted(name),
                         "is not where the index says");
      }
    }
  }
  for (const auto& [name, shard] : shard_of) {
    if (!tensors.contains(component == ModelPart::kVae ? ModernVaeKey(name) : name)) {
      throw InputError(index.string() + ":/weight_map/" + Quoted(name),
                       fmt::format("is not in {}", Quoted(shard)));
    }
  }
}

/// The component's file or index; nothing if its folder has none.
std::optional<fs::path> FindWeights(const fs::path& folder, ModelPart component,
                                    const std::string& variant) {
  const std::string stem = StemOf(component);
  std::vector<std::string> names;
  if (!variant.empty()) {
    names = {fmt::format("{}.{}.safetensors", stem, variant),
             fmt::format("{}.safetensors.index.{}.json", stem, variant),
             fmt::format("{}.{}.safetensors.index.json", stem, variant)};
  }
  names.push_back(stem + ".safetensors");
  names.push_back(stem + ".safetensors.index.json");
  if (variant.empty()) names.push_back(stem + ".fp16.safetensors");
  for (const std::string& name : names) {
    std::error_code ignored;
    if (fs::exists(folder / name, ignored)) return folder / name;
  }
  return std::nullopt;
}

Checkpoint OpenFolder(const fs::path& path, const std::string& variant) {
  Checkpoint checkpoint = {.layout = CheckpointLayout::kDiffusersFolder};
  const PartTensors components = ReadDiffusersFolder(path, variant, checkpoint.files);
  checkpoint.family = DetectDiffusers(components, path.string());
  checkpoint.components = SourcesOf(components);
  return checkpoint;
}

Checkpoint OpenFile(const fs::path& path) {
  if (IsPickle(path)) throw InputError(path.string(), PickleRefusal());
  Checkpoint checkpoint;
  checkpoint.files.push_back(std::make_unique<SafetensorsFile>(path));
  const TensorMap& tensors = checkpoint.files.back()->tensors();
  if (ParseLora(tensors, checkpoint.files.back()->metadata(), path.string())) {
    throw InputError(path.string(), "holds LoRA adapters, not a model");
  }
  if (const std::optional<ModelPart> component = PartOf(tensors)) {
    checkpoint.layout = CheckpointLayout::kComponentFile;
    PartTensors components;
    for (const auto& [key, tensor] : tensors) {
      const std::string name = *component == ModelPart::kVae ? ModernVaeKey(key) : key;
      components[*component].emplace(name, tensor);
    }
    checkpoint.family = DetectDiffusers(components, path.string());
    checkpoint.components = SourcesOf(components);
    return checkpoint;
  }
  checkpoint.layout = CheckpointLayout::kOriginalFile;
  KeyMapping mapping = MapOriginal(tensors, path.string());
  checkpoint.family = mapping.family;
  checkpoint.components = ToDiffusers(tensors, mapping, path.string());
  checkpoint.left_out = std::move(mapping.left_out);
  return checkpoint;
}

}  // namespace

PartTensors ReadDiffusersFolder(const fs::path& folder, const std::string& variant,
                                std::vector<std::unique_ptr<SafetensorsFile>>& files) {
  PartTensors components;
  for (const ModelPart component : kModelParts) {
    const auto weights = FindWeights(folder / NameOf(component), component, variant);
    if (!weights) continue;
    TensorMap& tensors = components[component];
    if (weights->extension() == ".json") {
      AddShards(*weights, component, tensors, files);
    } else {
      AddFile(*weights, component, tensors, files);
    }
  }
  if (components.empty()) {
    throw InputError(folder.string(),
                     "holds no unet/diffusion_pytorch_model.safetensors nor another component");
  }
  return components;
}

std::optional<ModelPart> PartOf(const TensorMap& tensors) {
  if (tensors.contains("conv_in.weight") && tensors.contains("time_embedding.linear_1.weight")) {
    return ModelPart::kUnet;
  }
  if (tensors.contains("encoder.conv_in.weight") && tensors.contains("quant_conv.weight") &&
      tensors.contains("encoder.mid_block.resnets.0.norm1.weight")) {
    return ModelPart::kVae;
  }
  if (tensors.contains("text_model.embeddings.token_embedding.weight")) {
    return tensors.contains("text_projection.weight") ? ModelPart::kTextEncoder2
                                                      : ModelPart::kTextEncoder;
  }
  return std::nullopt;
}

bool IsPickle(const fs::path& path) {
  std::array<char, 9> start = {};
  std::ifstream(path, std::ios::binary).read(start.data(), start.size());
  if (start[8] == '{' && start[6] == 0 && start[7] == 0) return false;  // A safetensors header.
  const bool is_zip = start[0] == 'P' && start[1] == 'K' && start[2] == 3 && start[3] == 4;
  const bool is_bare = start[0] == '\x80' && start[1] >= 2 && start[1] <= 5 && start[2] != 0;
  return is_zip || is_bare;
}

std::string PickleRefusal() {
  return "is a pickle checkpoint (.ckpt, .bin): a pickle is a program, and files are not run here; "
         "convert it to .safetensors";
}

Checkpoint OpenCheckpoint(const fs::path& path, const std::string& variant) {
  std::error_code ignored;
  return fs::is_directory(path, ignored) ? OpenFolder(path, variant) : OpenFile(path);
}

void WriteOriginal(const fs::path& path, const PartSources& parts, const std::string& where) {
  const KeyMapping mapping = MapDiffusers(OutlineOf(parts), where);
  WriteSafetensors(path, ToOriginal(parts, mapping, where), {{"format", "pt"}});
}

void WriteDiffusersFolder(const fs::path& folder, const PartSources& components,
                          std::int64_t max_shard_bytes) {
  for (const auto& [component, tensors] : components) {
    const fs::path inner = folder / NameOf(component);
    std::error_code error;
    fs::create_directories(inner, error);
    if (error) {
      throw InputError(inner.string(), fmt::format("cannot be made ({})", error.message()));
    }
    WriteShards(inner, StemOf(component), tensors, {{"format", "pt"}}, max_shard_bytes);
  }
}

}  // namespace stint
