#include "models/checkpoint_weights.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "files/lora.h"
#include "ir/errors.h"
#include "models/scalar_types.h"

namespace stint {
namespace {

namespace fs = std::filesystem;

/// A floating dtype that weights can be read from.
std::optional<at::ScalarType> FloatTypeOf(Dtype dtype) {
  const std::optional<at::ScalarType> type = ScalarTypeOf(dtype);
  return type && at::isFloatingType(*type) ? type : std::nullopt;
}

/// As a tensor of the file's dtype.
at::Tensor ReadSource(const TensorSource& source) {
  const at::Tensor value = at::empty(source.sizes, FloatTypeOf(source.dtype).value());
  auto* bytes = static_cast<std::byte*>(value.mutable_data_ptr());
  source.write([&](std::span<const std::byte> piece) {
    std::memcpy(bytes, piece.data(), piece.size());
    bytes += piece.size();
  });
  return value;
}

at::Tensor ReadView(const TensorView& view, const std::string& where) {
  if (!FloatTypeOf(view.dtype)) {
    throw InputError(where, fmt::format("is of dtype {}, not one that Stint reads",
                                        SafetensorsName(view.dtype)));
  }
  return ReadSource(SourceOf("", view)).to(at::kFloat);
}

/// One adapter of one weight.
struct Merge {
  LoraPair pair{};
  double scale = 1;     // Of the file.
  std::string where{};  // File and adapter, for errors.
};

void AddTo(const at::Tensor& weight, const Merge& merge) {
  const LoraPair& pair = merge.pair;
  const at::Tensor down = ReadView(pair.down, merge.where).reshape({pair.rank(), -1});
  const at::Tensor up = ReadView(pair.up, merge.where).reshape({-1, pair.rank()});
  const at::Tensor change = at::mm(up, down);
  if (change.numel() != weight.numel()) {
    throw InputError(merge.where, fmt::format("changes {} numbers of a weight that has {}",
                                              change.numel(), weight.numel()));
  }
  const double scale = merge.scale * pair.alpha / static_cast<double>(pair.rank());
  weight.add_(change.reshape(weight.sizes()), scale);
}

class CheckpointWeights : public ValueSource {
 public:
  CheckpointWeights(Checkpoint checkpoint, const fs::path& path, const PipelineConfig& config,
                    const std::vector<LoraChoice>& loras)
      : checkpoint_(std::move(checkpoint)) {
    BaseWeights base;
    for (const Component& component : ComponentsOf(config)) Find(component, path, base);
    for (const LoraChoice& lora : loras) AddLora(lora, base);
  }

  void Load(const Buffer& buffer, const torch::Tensor& value) const override {
    const auto found = sources_.find(buffer.name);
    Check(found != sources_.end(), "every weight of a program is one of its configuration");
    at::Tensor weight = ReadSource(*found->second);
    Check(weight.sizes() == value.sizes(), "a program's weights have the configuration's sizes");
    const auto [begin, end] = merges_.equal_range(buffer.name);
    if (begin != end) weight = weight.to(at::kFloat);
    for (auto merge = begin; merge != end; ++merge) AddTo(weight, merge->second);
    value.copy_(weight);
  }

 private:
  /// Where each weight of a component lies; notes their sizes in `base`.
  void Find(const Component& component, const fs::path& path, BaseWeights& base) {
    const auto* const part = std::ranges::find(
        kModelParts, component.name, [](ModelPart one) { return std::string(NameOf(one)); });
    Check(part != kModelParts.end(), "every component is a part of checkpoints");
    std::map<std::string, const TensorSource*> by_name;
    for (const TensorSource& source : checkpoint_.components[*part]) {
      by_name[source.name] = &source;
    }
    for (const WeightSpec& spec : component.weights) {
      const std::string where = fmt::format("{}:{}.{}", path.string(), component.name, spec.name);
      const auto found = by_name.find(spec.name);
      if (found == by_name.end()) throw InputError(where, "is not in the checkpoint");
      const TensorSource& source = *found->second;
      if (source.sizes != spec.sizes) {
        throw InputError(where,
                         fmt::format("has the sizes [{}], but the configuration says [{}]",
                                     fmt::join(source.sizes, ", "), fmt::join(spec.sizes, ", ")));
      }
      if (!FloatTypeOf(source.dtype)) {
        throw InputError(where, fmt::format("is of dtype {}, not F32, F16 or BF16",
                                            SafetensorsName(source.dtype)));
      }
      sources_[component.name + "." + spec.name] = &source;
      base[*part][spec.name] = spec.sizes;
    }
  }

  void AddLora(const LoraChoice& choice, const BaseWeights& base) {
    const std::string where = choice.path.string();
    if (fs::is_regular_file(choice.path) && IsPickle(choice.path)) {
      throw InputError(where, PickleRefusal());
    }
    const SafetensorsFile& file =
        *lora_files_.emplace_back(std::make_unique<SafetensorsFile>(choice.path));
    const std::optional<LoraFile> lora = ParseLora(file.tensors(), file.metadata(), where);
    if (!lora) throw InputError(where, "holds no LoRA adapters");
    for (LoraModule& module : ResolveLora(*lora, base, checkpoint_.family, where)) {
      const std::string name = std::string(NameOf(module.component)) + "." + module.module;
      merges_.emplace(name + ".weight", Merge{.pair = std::move(module.pair),
                                              .scale = choice.scale,
                                              .where = where + ":" + name});
    }
  }

  Checkpoint checkpoint_;
  std::vector<std::unique_ptr<SafetensorsFile>> lora_files_{};
  std::map<std::string, const TensorSource*> sources_{};  // By part and name; in checkpoint_.
  std::multimap<std::string, Merge> merges_{};            // The same.
};

}  // namespace

std::unique_ptr<ValueSource> MakeCheckpointWeights(Checkpoint checkpoint, const fs::path& path,
                                                   const PipelineConfig& config,
                                                   const std::vector<LoraChoice>& loras) {
  return std::make_unique<CheckpointWeights>(std::move(checkpoint), path, config, loras);
}

}  // namespace stint
