#include "files/key_mapping.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "ir/errors.h"
#include "ir/quoted.h"

namespace stint {
namespace {

constexpr std::string_view kUnetPrefix = "model.diffusion_model.";
constexpr std::string_view kVaePrefix = "first_stage_model.";
constexpr std::int64_t kSd2LayerCount = 23;  // Of 24: only the states before the last are used.

/// Keys of these beginnings have no twin in diffusers.
constexpr std::array<std::string_view, 14> kConstants = {"model_ema.",
                                                         "betas",
                                                         "alphas_cumprod",
                                                         "sqrt_alphas_cumprod",
                                                         "sqrt_one_minus_alphas_cumprod",
                                                         "log_one_minus_alphas_cumprod",
                                                         "sqrt_recip_alphas_cumprod",
                                                         "sqrt_recipm1_alphas_cumprod",
                                                         "posterior_",
                                                         "denoiser.",
                                                         "logvar",
                                                         "scale_factor",
                                                         "lvlb_weights",
                                                         "v_posterior"};

struct Foreign {
  std::string_view part{};
  std::string_view name{};
};
constexpr std::array<Foreign, 5> kForeigners = {
    {{"conditioner.embedders.0.model.", "the SDXL refiner"},
     {"joint_blocks.0.", "Stable Diffusion 3"},
     {"double_blocks.0.", "Flux"},
     {"control_model.", "a ControlNet"},
     {"down_blocks.0.0.channelwise", "Stable Cascade"}}};

/// How one component of one family is named in the original layout.
struct Part {
  ModelPart component{};
  std::string_view prefix{};
  bool is_open_clip = false;  // Of text encoders.
};

std::vector<Part> PartsOf(ModelFamily family) {
  const Part unet = {ModelPart::kUnet, kUnetPrefix};
  const Part vae = {ModelPart::kVae, kVaePrefix};
  switch (family) {
    case ModelFamily::kSd1:
      return {unet, vae, {ModelPart::kTextEncoder, "cond_stage_model.transformer."}};
    case ModelFamily::kSd2:
      return {unet, vae, {ModelPart::kTextEncoder, "cond_stage_model.model.", true}};
    case ModelFamily::kSdxl:
      return {unet,
              vae,
              {ModelPart::kTextEncoder, "conditioner.embedders.0.transformer."},
              {ModelPart::kTextEncoder2, "conditioner.embedders.1.model.", true}};
  }
  Check(false, "a family is one of three");
  return {};
}

std::vector<std::string_view> NamesAfter(const TensorMap& tensors, std::string_view prefix) {
  std::vector<std::string_view> names;
  for (auto it = tensors.lower_bound(std::string(prefix));
       it != tensors.end() && it->first.starts_with(prefix); ++it) {
    names.push_back(std::string_view(it->first).substr(prefix.size()));
  }
  return names;
}

KeyTable TableOf(const Part& part, ModelFamily family, const std::vector<std::string_view>& names,
                 bool is_original) {
  switch (part.component) {
    case ModelPart::kUnet:
      return UnetKeys(is_original ? LevelsOfOriginal(names) : LevelsOfDiffusers(names));
    case ModelPart::kVae: {
      const std::string_view level = is_original ? "encoder.down." : "encoder.down_blocks.";
      const std::string_view layer =
          is_original ? "encoder.down.0.block." : "encoder.down_blocks.0.resnets.";
      return VaeKeys(CountNumbered(names, level), CountNumbered(names, layer));
    }
    case ModelPart::kTextEncoder:
    case ModelPart::kTextEncoder2:
      break;
  }
  if (!part.is_open_clip) return ClipKeys();
  const bool is_sd2 = family == ModelFamily::kSd2;
  const std::int64_t layer_count =
      CountNumbered(names, is_original ? "transformer.resblocks." : "text_model.encoder.layers.");
  return OpenClipKeys(is_sd2 ? std::min(layer_count, kSd2LayerCount) : layer_count, !is_sd2);
}

bool IsConstant(std::string_view key) {
  return std::ranges::any_of(kConstants,
                             [&](std::string_view begin) { return key.starts_with(begin); });
}

/// Is it a tensor of the text encoder that diffusers does without?
bool IsUnusedText(std::string_view name, ModelFamily family) {
  if (name.ends_with("position_ids") || name == "logit_scale" || name == "attn_mask") return true;
  if (family != ModelFamily::kSd2) return false;
  return name == "text_projection" ||
         name.starts_with(fmt::format("transformer.resblocks.{}.", kSd2LayerCount));
}

bool IsText(ModelPart component) {
  return component == ModelPart::kTextEncoder || component == ModelPart::kTextEncoder2;
}

/// Is the projection into an attention of the UNet linear? So it is from SD 2 on.
bool HasLinearProjection(const TensorMap& tensors, std::string_view begin) {
  return std::ranges::any_of(tensors, [&](const auto& tensor) {
    return tensor.first.starts_with(begin) && tensor.first.ends_with(".proj_in.weight") &&
           tensor.second.sizes.size() == 2;
  });
}

bool HasKey(const TensorMap& tensors, std::string_view begin) {
  const auto found = tensors.lower_bound(std::string(begin));
  return found != tensors.end() && found->first.starts_with(begin);
}

}  // namespace

std::string_view NameOf(ModelFamily family) {
  constexpr std::array<std::string_view, 3> kNames = {"SD 1.x", "SD 2.x", "SDXL"};
  return kNames.at(static_cast<std::size_t>(family));
}

std::string_view NameOf(ModelPart component) {
  constexpr std::array<std::string_view, 4> kNames = {"unet", "vae", "text_encoder",
                                                      "text_encoder_2"};
  return kNames.at(static_cast<std::size_t>(component));
}

ModelFamily DetectOriginal(const TensorMap& tensors, const std::string& where) {
  for (const Foreign& foreign : kForeigners) {
    for (const auto& [name, tensor] : tensors) {
      if (name.starts_with(foreign.part) ||
          name.starts_with(std::string(kUnetPrefix) + std::string(foreign.part))) {
        throw InputError(where, fmt::format("is {}, which Stint does not know", foreign.name));
      }
    }
  }
  if (HasKey(tensors, "conditioner.embedders.1.model.") ||
      HasKey(tensors, std::string(kUnetPrefix) + "label_emb.")) {
    return ModelFamily::kSdxl;
  }
  if (HasKey(tensors, "cond_stage_model.model.") || HasLinearProjection(tensors, kUnetPrefix)) {
    return ModelFamily::kSd2;
  }
  if (HasKey(tensors, kUnetPrefix) || HasKey(tensors, kVaePrefix) ||
      HasKey(tensors, "cond_stage_model.transformer.")) {
    return ModelFamily::kSd1;
  }
  throw InputError(where, "is no checkpoint of SD 1.x, SD 2.x or SDXL in the original layout");
}

ModelFamily DetectDiffusers(const PartTensors& components, const std::string& where) {
  if (components.empty()) throw InputError(where, "holds no component of Stable Diffusion");
  if (components.contains(ModelPart::kTextEncoder2)) return ModelFamily::kSdxl;
  const auto unet = components.find(ModelPart::kUnet);
  if (unet != components.end()) {
    if (HasKey(unet->second, "add_embedding.")) return ModelFamily::kSdxl;
    return HasLinearProjection(unet->second, "") ? ModelFamily::kSd2 : ModelFamily::kSd1;
  }
  const auto text = components.find(ModelPart::kTextEncoder);
  if (text != components.end()) {
    // OpenCLIP's width; a text encoder alone does not tell SD 1.x from SDXL's first.
    const auto norm = text->second.find("text_model.final_layer_norm.weight");
    if (norm != text->second.end() && norm->second.sizes == std::vector<std::int64_t>{1024}) {
      return ModelFamily::kSd2;
    }
  }
  return ModelFamily::kSd1;
}

KeyMapping MapOriginal(const TensorMap& tensors, const std::string& where) {
  KeyMapping mapping = {.family = DetectOriginal(tensors, where)};
  std::set<std::string_view> known;
  for (const Part& part : PartsOf(mapping.family)) {
    const std::vector<std::string_view> names = NamesAfter(tensors, part.prefix);
    const KeyTable table = TableOf(part, mapping.family, names, true);
    for (const std::string_view name : names) {
      const std::string key = std::string(part.prefix) + std::string(name);
      known.insert(tensors.find(key)->first);
      if (IsText(part.component) && IsUnusedText(name, mapping.family)) {
        mapping.left_out.push_back(key);
        continue;
      }
      std::optional<KeyTwin> twin = table.FindTwin(name);
      if (!twin) {
        throw InputError(where + ":" + Quoted(key),
                         fmt::format("is no tensor of the {} of {}", NameOf(part.component),
                                     NameOf(mapping.family)));
      }
      mapping.keys.push_back({key, part.component, std::move(*twin)});
    }
  }
  for (const auto& [key, tensor] : tensors) {
    if (known.contains(key)) continue;
    if (!IsConstant(key)) throw InputError(where + ":" + Quoted(key), "belongs to no component");
    mapping.left_out.push_back(key);
  }
  return mapping;
}

KeyMapping MapDiffusers(const PartTensors& components, const std::string& where) {
  KeyMapping mapping = {.family = DetectDiffusers(components, where)};
  for (const Part& part : PartsOf(mapping.family)) {
    const auto found = components.find(part.component);
    if (found == components.end()) continue;
    const std::vector<std::string_view> names = NamesAfter(found->second, "");
    const KeyTable table = TableOf(part, mapping.family, names, false);
    std::set<std::string> fused;  // Found once for each of its parts.
    for (const std::string_view name : names) {
      if (name.ends_with("position_ids")) continue;
      auto original = table.FindOriginal(name);
      if (!original) {
        throw InputError(fmt::format("{}/{}:{}", where, NameOf(part.component), Quoted(name)),
                         fmt::format("is no tensor of the {} of {}", NameOf(part.component),
                                     NameOf(mapping.family)));
      }
      std::string key = std::string(part.prefix) + original->first;
      if (original->second.change == KeyChange::kFused && !fused.insert(key).second) continue;
      mapping.keys.push_back({std::move(key), part.component, std::move(original->second)});
    }
  }
  return mapping;
}

std::string ModernVaeKey(const std::string& key) {
  constexpr std::string_view kModule = ".mid_block.attentions.0.";
  const std::size_t at = key.find(kModule);
  if (at == std::string::npos) return key;
  const std::size_t begin = at + kModule.size();
  for (const auto& [old_name, name] :
       {std::pair("query.", "to_q."), std::pair("key.", "to_k."), std::pair("value.", "to_v."),
        std::pair("proj_attn.", "to_out.0.")}) {
    if (key.compare(begin, std::string_view(old_name).size(), old_name) != 0) continue;
    return key.substr(0, begin) + name + key.substr(begin + std::string_view(old_name).size());
  }
  return key;
}

}  // namespace stint
