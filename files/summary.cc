#include "files/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "files/checkpoint.h"
#include "files/lora.h"
#include "files/pth.h"
#include "files/safetensors.h"
#include "ir/errors.h"
#include "ir/quoted.h"

namespace stint {
namespace {

namespace fs = std::filesystem;

void Count(Dtype dtype, std::span<const std::int64_t> sizes, TensorCounts& counts) {
  const std::int64_t element_count = ElementCount(sizes);
  ++counts.tensor_count;
  counts.parameter_count += element_count;
  counts.size_bytes += ByteCount(dtype, sizes);
  counts.by_dtype[dtype] += element_count;
}

TensorCounts CountAll(const TensorMap& tensors) {
  TensorCounts counts;
  for (const auto& [name, tensor] : tensors) Count(tensor.dtype, tensor.sizes, counts);
  return counts;
}

/// The tensors in a tree of values. Its depth is bounded by the reader.
void CountIn(const PthValue& value, TensorCounts& counts) {
  if (const auto* tensor = std::get_if<TensorView>(&value.value)) {
    Count(tensor->dtype, tensor->sizes, counts);
  } else if (const auto* list = std::get_if<PthList>(&value.value)) {
    for (const PthValue& element : *list) CountIn(element, counts);
  } else if (const auto* tuple = std::get_if<PthTuple>(&value.value)) {
    for (const PthValue& element : tuple->elements) CountIn(element, counts);
  } else if (const auto* dict = std::get_if<PthDict>(&value.value)) {
    for (const PthItem& item : *dict) CountIn(item.value, counts);
  }
}

std::optional<std::int64_t> IntegerOf(const PthValue& root, std::string_view key) {
  const PthValue* const found = root.Find(key);
  const auto* const integer = found == nullptr ? nullptr : std::get_if<std::int64_t>(&found->value);
  return integer == nullptr ? std::nullopt : std::optional(*integer);
}

/// Reads the pickle's words; whatever else it would call ends in an error.
CheckpointSummary SummarizePickle(const fs::path& path) {
  CheckpointSummary summary;
  try {
    const PthFile file(path);
    summary.epoch = IntegerOf(file.root(), "epoch");
    summary.step = IntegerOf(file.root(), "step");
    const bool is_state = file.root().Find("model_state_dict") != nullptr;
    summary.kind = is_state ? "training state" : "pickle checkpoint (not for use as weights)";
    TensorCounts rest;
    const auto* const dict = std::get_if<PthDict>(&file.root().value);
    for (const PthItem& item : dict == nullptr ? PthDict{} : *dict) {
      const auto* const name = std::get_if<std::string>(&item.key.value);
      TensorCounts counts;
      CountIn(item.value, counts);
      if (counts.tensor_count == 0) continue;
      if (name != nullptr && std::holds_alternative<PthDict>(item.value.value)) {
        summary.components.push_back({*name, counts});
      } else {
        CountIn(item.value, rest);
      }
    }
    if (rest.tensor_count > 0) summary.components.push_back({"tensors", rest});
  } catch (const InputError& error) {
    throw InputError(path.string(), fmt::format("{}; it was read without running it: {}",
                                                PickleRefusal(), error.fact()));
  }
  return summary;
}

LoraSummary SummarizeLora(const LoraFile& lora) {
  LoraSummary summary = {.style = std::string(NameOf(lora.style)),
                         .module_count = static_cast<std::int64_t>(lora.pairs.size())};
  for (const LoraPair& pair : lora.pairs) ++summary.ranks[pair.rank()];
  return summary;
}

void AddComponents(const Checkpoint& checkpoint, CheckpointSummary& summary) {
  summary.family = NameOf(checkpoint.family);
  summary.left_out = checkpoint.left_out;
  for (const auto& [component, sources] : checkpoint.components) {
    TensorCounts counts;
    for (const TensorSource& source : sources) Count(source.dtype, source.sizes, counts);
    summary.components.push_back({std::string(NameOf(component)), counts});
  }
}

/// A file of tensors that belong to no model that Stint knows.
CheckpointSummary SummarizeTensors(const SafetensorsFile& file) {
  return {.kind = "tensors", .components = {{"tensors", CountAll(file.tensors())}}};
}

bool IsOriginal(const SafetensorsFile& file) {
  try {
    DetectOriginal(file.tensors(), "");
    return true;
  } catch (const InputError&) {
    return false;
  }
}

CheckpointSummary SummarizeSafetensors(const fs::path& path) {
  const SafetensorsFile file(path);
  CheckpointSummary summary;
  if (const auto lora = ParseLora(file.tensors(), file.metadata(), path.string())) {
    summary = {.kind = "LoRA adapters",
               .components = {{"tensors", CountAll(file.tensors())}},
               .lora = SummarizeLora(*lora)};
  } else if (PartOf(file.tensors()) || IsOriginal(file)) {
    const Checkpoint checkpoint = OpenCheckpoint(path, "");
    summary.kind = checkpoint.layout == CheckpointLayout::kOriginalFile ? "original single file"
                                                                        : "component of diffusers";
    AddComponents(checkpoint, summary);
    // One component does not always tell its family.
    if (checkpoint.layout == CheckpointLayout::kComponentFile &&
        !checkpoint.components.contains(ModelPart::kUnet)) {
      summary.family.clear();
    }
  } else {
    summary = SummarizeTensors(file);
  }
  summary.metadata = file.metadata();
  return summary;
}

}  // namespace

CheckpointSummary Summarize(const fs::path& path, const std::string& variant) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) {
    CheckpointSummary summary = {.kind = "diffusers folder"};
    AddComponents(OpenCheckpoint(path, variant), summary);
    return summary;
  }
  return IsPickle(path) ? SummarizePickle(path) : SummarizeSafetensors(path);
}

}  // namespace stint
