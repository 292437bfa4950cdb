#include "models/known_models.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "ir/errors.h"
#include "models/embedded_configs.h"

namespace stint {
namespace {

constexpr std::string_view kUnetSuffix = "-unet";

struct KnownParts {
  const char* name = nullptr;
  const char* unet = nullptr;
  const char* text_encoder = nullptr;
  const char* text_encoder_2 = nullptr;  // Null where there is none.
  const char* vae = nullptr;
  const char* scheduler = nullptr;
};

constexpr std::array<KnownParts, 7> kPipelines = {{
    {"sd15", "sd15-unet", "clip-l-text", nullptr, "sd-vae", "sd-scheduler"},
    {"sd21", "sd21-unet", "clip-h-text", nullptr, "sd-vae", "sd-scheduler"},
    {"sd21-768", "sd21-768-unet", "clip-h-text", nullptr, "sd-vae", "sd21-768-scheduler"},
    {"sdxl", "sdxl-unet", "clip-l-text", "clip-big-g-text", "sdxl-vae", "sdxl-scheduler"},
    {"tiny-sd15", "tiny-unet", "tiny-sd15-text", nullptr, "tiny-vae", "sd-scheduler"},
    {"tiny-sd21", "tiny-sd21-unet", "tiny-sd21-text", nullptr, "tiny-vae", "sd21-768-scheduler"},
    {"tiny-sdxl", "tiny-sdxl-unet", "tiny-sdxl-text", "tiny-sdxl-text-2", "tiny-vae",
     "sdxl-scheduler"},
}};

nlohmann::json Part(const char* name) {
  const std::optional<std::string> text = KnownConfig(name);
  Check(text.has_value(), "the parts of known models are known");
  return nlohmann::json::parse(*text);
}

}  // namespace

std::optional<std::string> KnownConfig(const std::string& name) {
  const auto* const found = std::ranges::find(kEmbeddedConfigs, name, &EmbeddedConfig::model);
  if (found == kEmbeddedConfigs.end()) return std::nullopt;
  return found->text;
}

std::optional<std::string> KnownUnet(const std::string& name) {
  return name.ends_with(kUnetSuffix) ? KnownConfig(name) : std::nullopt;
}

std::optional<std::string> KnownPipeline(const std::string& name) {
  const auto* const found = std::ranges::find(kPipelines, name, &KnownParts::name);
  if (found == kPipelines.end()) return std::nullopt;
  nlohmann::json parts = {{"unet", Part(found->unet)},
                          {"text_encoder", Part(found->text_encoder)},
                          {"vae", Part(found->vae)},
                          {"scheduler", Part(found->scheduler)}};
  if (found->text_encoder_2 != nullptr) parts["text_encoder_2"] = Part(found->text_encoder_2);
  return parts.dump();
}

std::string KnownUnetNames() {
  std::vector<std::string> names;
  for (const EmbeddedConfig& config : kEmbeddedConfigs) {
    if (std::string_view(config.model).ends_with(kUnetSuffix)) names.emplace_back(config.model);
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

std::string KnownPipelineNames() {
  std::vector<std::string> names;
  for (const KnownParts& parts : kPipelines) names.emplace_back(parts.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace stint
