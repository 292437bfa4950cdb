#include "files/lora.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "ir/errors.h"
#include "ir/quoted.h"

namespace stint {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kAdapterMetadata[] = "lora_adapter_metadata";  // diffusers keeps alphas there.

enum class Half : std::uint8_t { kDown, kUp, kAlpha };
struct Ending {
  std::string_view text{};
  Half half{};
  LoraStyle style{};
};
/// The last four are older words of diffusers.
constexpr std::array<Ending, 9> kEndings = {{
    {".lora_A.weight", Half::kDown, LoraStyle::kPeft},
    {".lora_B.weight", Half::kUp, LoraStyle::kPeft},
    {".lora_down.weight", Half::kDown, LoraStyle::kKohya},
    {".lora_up.weight", Half::kUp, LoraStyle::kKohya},
    {".alpha", Half::kAlpha, LoraStyle::kKohya},
    {".lora.down.weight", Half::kDown, LoraStyle::kPeft},
    {".lora.up.weight", Half::kUp, LoraStyle::kPeft},
    {".lora_linear_layer.down.weight", Half::kDown, LoraStyle::kPeft},
    {".lora_linear_layer.up.weight", Half::kUp, LoraStyle::kPeft},
}};

struct Halves {
  const TensorView* down = nullptr;
  const TensorView* up = nullptr;
  const TensorView* alpha = nullptr;
};

float HalfToFloat(std::uint16_t bits) {
  const int exponent = bits >> 10 & 0x1f;
  const int fraction = bits & 0x3ff;
  const double size =
      exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return static_cast<float>((bits & 0x8000) != 0 ? -size : size);
}

/// The one number of a tensor of a floating type.
double NumberOf(const TensorView& tensor, const std::string& where) {
  std::uint16_t half = 0;
  float single = 0;
  double number = 0;
  if (ElementCount(tensor.sizes) == 1) {
    const auto read = [&](auto& value) {
      std::memcpy(&value, tensor.data.data(), sizeof(value));
      return static_cast<double>(value);
    };
    switch (tensor.dtype) {
      case Dtype::kF64:
        return read(number);
      case Dtype::kF32:
        return read(single);
      case Dtype::kF16:
        read(half);
        return static_cast<double>(HalfToFloat(half));
      case Dtype::kBf16:
        read(half);
        return static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(half) << 16));
      default:
        break;
    }
  }
  throw InputError(where, "is not one floating number");
}

/// The alphas that diffusers writes into the metadata: by module, or one for all.
struct Alphas {
  std::optional<double> one_for_all{};
  std::map<std::string, double> by_module{};
};

Alphas AlphasOf(const Metadata& metadata) {
  Alphas alphas;
  const auto found = metadata.find(kAdapterMetadata);
  if (found == metadata.end()) return alphas;
  const Json json = Json::parse(found->second, nullptr, false);
  if (!json.is_object()) return alphas;
  for (const auto& [key, value] : json.items()) {
    if (key.ends_with("lora_alpha") && value.is_number()) {
      alphas.one_for_all = value.get<double>();
    } else if (key.ends_with("alpha_pattern") && value.is_object()) {
      const std::string component = key.substr(0, key.find('.') + 1);
      for (const auto& [module, alpha] : value.items()) {
        if (alpha.is_number()) alphas.by_module[component + module] = alpha.get<double>();
      }
    }
  }
  return alphas;
}

double AlphaOf(const std::string& name, const Halves& halves, const Alphas& alphas,
               const std::string& where) {
  if (halves.alpha != nullptr) return NumberOf(*halves.alpha, where);
  if (const auto found = alphas.by_module.find(name); found != alphas.by_module.end()) {
    return found->second;
  }
  return alphas.one_for_all.value_or(static_cast<double>(halves.down->sizes[0]));
}

void CheckFit(const LoraPair& pair, const std::string& where) {
  const std::size_t dimension_count = pair.down.sizes.size();
  if ((dimension_count != 2 && dimension_count != 4) || pair.up.sizes.size() != dimension_count ||
      pair.up.sizes[1] != pair.down.sizes[0] || pair.rank() < 1) {
    throw InputError(where, "has two matrices that cannot be multiplied");
  }
  if (!std::isfinite(pair.alpha)) throw InputError(where, "has an alpha that is no number");
}

std::string Underscored(std::string text) {
  std::ranges::replace(text, '.', '_');
  return text;
}

std::string KohyaPrefix(ModelPart component, ModelFamily family) {
  switch (component) {
    case ModelPart::kUnet:
      return "lora_unet_";
    case ModelPart::kTextEncoder:
      return family == ModelFamily::kSdxl ? "lora_te1_" : "lora_te_";
    case ModelPart::kTextEncoder2:
      return "lora_te2_";
    case ModelPart::kVae:
      break;
  }
  return "lora_vae_";
}

constexpr std::string_view kWeight = ".weight";

struct BaseModule {
  ModelPart component{};
  std::string module{};
  const std::vector<std::int64_t>* sizes = nullptr;  // Of its weight.
};

/// Every name that a module of the base may have in a file of that style.
std::map<std::string, BaseModule> NamesOf(const BaseWeights& base, LoraStyle style,
                                          ModelFamily family) {
  std::map<std::string, BaseModule> modules;
  for (const auto& [component, weights] : base) {
    std::vector<std::string_view> names;
    names.reserve(weights.size());
    for (const auto& [name, sizes] : weights) names.push_back(name);
    const std::optional<KeyTable> original = component == ModelPart::kUnet
                                                 ? std::optional(UnetKeys(LevelsOfDiffusers(names)))
                                                 : std::nullopt;
    for (const auto& [name, sizes] : weights) {
      if (!name.ends_with(kWeight)) continue;
      const std::string module = name.substr(0, name.size() - kWeight.size());
      const BaseModule entry = {component, module, &sizes};
      if (style == LoraStyle::kPeft) {
        modules[fmt::format("{}.{}", NameOf(component), module)] = entry;
        continue;
      }
      const std::string prefix = KohyaPrefix(component, family);
      modules[prefix + Underscored(module)] = entry;
      if (!original) continue;
      if (const auto twin = original->FindOriginal(name)) {
        modules[prefix + Underscored(twin->first.substr(0, twin->first.size() - kWeight.size()))] =
            entry;
      }
    }
  }
  return modules;
}

}  // namespace

std::string_view NameOf(LoraStyle style) { return style == LoraStyle::kPeft ? "PEFT" : "kohya"; }

std::optional<LoraFile> ParseLora(const TensorMap& tensors, const Metadata& metadata,
                                  const std::string& where) {
  std::map<std::string, Halves> modules;
  LoraFile lora;
  for (const auto& [key, tensor] : tensors) {
    for (const Ending& ending : kEndings) {
      if (!key.ends_with(ending.text)) continue;
      Halves& halves = modules[key.substr(0, key.size() - ending.text.size())];
      (ending.half == Half::kDown ? halves.down
       : ending.half == Half::kUp ? halves.up
                                  : halves.alpha) = &tensor;
      lora.style = ending.style;
      break;
    }
  }
  const bool has_adapter = std::ranges::any_of(
      modules, [](const auto& module) { return module.second.down || module.second.up; });
  if (!has_adapter) return std::nullopt;
  const Alphas alphas = AlphasOf(metadata);
  for (const auto& [name, halves] : modules) {
    const std::string place = where + ":" + Quoted(name);
    if (halves.down == nullptr || halves.up == nullptr) {
      throw InputError(place, fmt::format("lacks its {} matrix", halves.down ? "up" : "down"));
    }
    if (halves.down->sizes.empty()) throw InputError(place, "has a matrix without sizes");
    LoraPair pair = {.name = name,
                     .down = *halves.down,
                     .up = *halves.up,
                     .alpha = AlphaOf(name, halves, alphas, place)};
    CheckFit(pair, place);
    lora.pairs.push_back(std::move(pair));
  }
  return lora;
}

std::vector<LoraModule> ResolveLora(const LoraFile& lora, const BaseWeights& base,
                                    ModelFamily family, const std::string& where) {
  const std::map<std::string, BaseModule> modules = NamesOf(base, lora.style, family);
  std::vector<LoraModule> resolved;
  for (const LoraPair& pair : lora.pairs) {
    const std::string place = where + ":" + Quoted(pair.name);
    const auto found = modules.find(pair.name);
    if (found == modules.end()) {
      throw InputError(place, "is an adapter of a module that the model does not have");
    }
    const std::vector<std::int64_t>& sizes = *found->second.sizes;
    if (sizes.size() < 2 || pair.up.sizes[0] != sizes[0] || pair.down.sizes[1] != sizes[1]) {
      throw InputError(place, fmt::format("adapts {} inputs to {} outputs, its module in the model "
                                          "has other sizes",
                                          pair.down.sizes[1], pair.up.sizes[0]));
    }
    resolved.push_back({found->second.component, found->second.module, pair});
  }
  return resolved;
}

std::vector<TensorSource> LoraTensors(const std::vector<LoraModule>& modules, LoraStyle style,
                                      ModelFamily family) {
  std::vector<TensorSource> tensors;
  for (const LoraModule& module : modules) {
    if (style == LoraStyle::kPeft) {
      const std::string name = fmt::format("{}.{}", NameOf(module.component), module.module);
      tensors.push_back(SourceOf(name + ".lora_A.weight", module.pair.down));
      tensors.push_back(SourceOf(name + ".lora_B.weight", module.pair.up));
      continue;
    }
    const std::string name = KohyaPrefix(module.component, family) + Underscored(module.module);
    tensors.push_back(SourceOf(name + ".lora_down.weight", module.pair.down));
    tensors.push_back(SourceOf(name + ".lora_up.weight", module.pair.up));
    tensors.push_back(
        {.name = name + ".alpha",
         .dtype = Dtype::kF32,
         .write = [alpha = static_cast<float>(module.pair.alpha)](const ByteSink& sink) {
           sink(std::as_bytes(std::span(&alpha, 1)));
         }});
  }
  return tensors;
}

Metadata LoraMetadata(const std::vector<LoraModule>& modules, LoraStyle style) {
  Metadata metadata = {{"format", "pt"}};
  if (style == LoraStyle::kKohya || modules.empty()) return metadata;
  Json json = Json::object();
  for (const LoraModule& module : modules) {
    const std::string component(NameOf(module.component));
    if (!json.contains(component + ".r")) {
      json[component + ".r"] = module.pair.rank();
      json[component + ".lora_alpha"] = module.pair.alpha;
      json[component + ".alpha_pattern"] = Json::object();
      json[component + ".rank_pattern"] = Json::object();
      json[component + ".target_modules"] = Json::array();
    }
    if (module.pair.alpha != json[component + ".lora_alpha"].get<double>()) {
      json[component + ".alpha_pattern"][module.module] = module.pair.alpha;
    }
    if (module.pair.rank() != json[component + ".r"].get<std::int64_t>()) {
      json[component + ".rank_pattern"][module.module] = module.pair.rank();
    }
    json[component + ".target_modules"].push_back(module.module);
  }
  metadata[kAdapterMetadata] = json.dump();
  return metadata;
}

}  // namespace stint
