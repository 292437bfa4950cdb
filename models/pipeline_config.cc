#include "models/pipeline_config.h"

#include <fmt/format.h>

#include <array>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "ir/errors.h"
#include "ir/file.h"
#include "models/component_weights.h"

namespace stint {
namespace {

using Json = nlohmann::json;

constexpr const char* kSecondEncoder = "text_encoder_2";

/// From the part's name to its file in a diffusers folder.
constexpr std::array<std::pair<const char*, const char*>, 5> kParts = {{
    {"scheduler", "scheduler_config.json"},
    {"text_encoder", "config.json"},
    {kSecondEncoder, "config.json"},
    {"unet", "config.json"},
    {"vae", "config.json"},
}};

Guidance ReadGuidance(const ConfigReader& reader) {
  const std::string word = reader.Text("guidance", "prompt");
  if (word == "none") return Guidance::kNone;
  if (word == "prompt") return Guidance::kNegativePrompt;
  if (word == "zeros") return Guidance::kZeros;
  reader.Fail("guidance", fmt::format("is \"{}\", not none, prompt or zeros", word));
}

Json ReadJson(const std::filesystem::path& path) {
  try {
    return Json::parse(ReadText(path));
  } catch (const Json::parse_error& error) {
    throw InputError(path.string(), fmt::format("is not JSON: byte {} is wrong", error.byte));
  }
}

void CheckTogether(const PipelineConfig& config, const ConfigReader& reader) {
  const auto fail_unless_equal = [&](std::int64_t is, std::int64_t expected, const char* pointer,
                                     const std::string& what) {
    if (is == expected) return;
    reader.Fail(pointer, fmt::format("is {}, but {} is {}", is, what, expected));
  };
  std::int64_t state_size = 0;
  for (const TextEncoderConfig& encoder : config.text_encoders) state_size += encoder.hidden_size;
  fail_unless_equal(config.unet.cross_attention_size, state_size, "unet/cross_attention_dim",
                    "the size of the text encoders' states");
  fail_unless_equal(config.unet.in_channel_count, config.vae.latent_channel_count,
                    "unet/in_channels", "the VAE's latent_channels");
  fail_unless_equal(config.unet.out_channel_count, config.vae.latent_channel_count,
                    "unet/out_channels", "the VAE's latent_channels");
  if (config.unet.HasAddition()) {
    fail_unless_equal(
        config.text_encoders.back().projection_size, config.unet.pooled_text_size,
        fmt::format("{}/projection_dim",
                    config.text_encoders.size() == 1 ? "text_encoder" : kSecondEncoder)
            .c_str(),
        "the pooled text that the UNet takes");
  } else if (config.text_encoders.size() > 1) {
    reader.Fail(kSecondEncoder, "is there, but the UNet has no addition that takes its text");
  }
}

}  // namespace

PipelineConfig PipelineConfigFromJson(const std::string& text, const std::string& where) {
  constexpr std::int64_t kDefaultStepCount = 30;
  constexpr std::int64_t kMaxStepCount = 999;
  constexpr std::array<std::string_view, 9> kKeys = {
      "sampler",      "step_count", "guidance", "picture_step_count", "scheduler", "text_encoder",
      kSecondEncoder, "unet",       "vae"};
  const ConfigReader reader(text, where);
  reader.RefuseOthers(kKeys, Json::object());
  PipelineConfig config = {
      .text_encoders = {ReadTextEncoderConfig(reader.Child("text_encoder"))},
      .unet = UnetConfigFromJson(reader.At("unet").dump(), where + ":/unet"),
      .vae = ReadVaeConfig(reader.Child("vae")),
      .scheduler = ReadSchedulerConfig(reader.Child("scheduler"), reader.Text("sampler", "")),
      .step_count = reader.CountOr("step_count", kDefaultStepCount, kMaxStepCount),
      .guidance = ReadGuidance(reader),
  };
  if (reader.Has("picture_step_count")) {
    config.picture_step_count = reader.Count("picture_step_count", config.step_count);
  }
  if (reader.Has(kSecondEncoder)) {
    config.text_encoders.push_back(ReadTextEncoderConfig(reader.Child(kSecondEncoder)));
  }
  CheckTogether(config, reader);
  return config;
}

std::string ReadPipelineFolder(const std::filesystem::path& folder) {
  Json parts = Json::object();
  for (const auto& [part, file] : kParts) {
    const std::filesystem::path path = folder / part / file;
    if (part == kSecondEncoder && !std::filesystem::exists(path)) continue;
    parts[part] = ReadJson(path);
  }
  return parts.dump();
}

bool TakesZerosForNoPrompt(const std::filesystem::path& folder, const PipelineConfig& config) {
  if (!config.unet.HasAddition()) return false;
  const std::filesystem::path path = folder / "model_index.json";
  if (!std::filesystem::exists(path)) return true;
  const Json index = ReadJson(path);
  return !index.is_object() || index.value("force_zeros_for_empty_prompt", Json(true)) != false;
}

std::vector<Component> ComponentsOf(const PipelineConfig& config) {
  std::vector<Component> components;
  for (const TextEncoderConfig& encoder : config.text_encoders) {
    components.push_back({.name = components.empty() ? "text_encoder" : kSecondEncoder,
                          .weights = TextEncoderWeights(encoder)});
  }
  components.push_back({.name = "unet", .weights = UnetWeights(config.unet)});
  Component vae = {.name = "vae", .weights = VaeEncoderWeights(config.vae)};
  std::vector<WeightSpec> decoder = VaeDecoderWeights(config.vae);
  std::move(decoder.begin(), decoder.end(), std::back_inserter(vae.weights));
  components.push_back(std::move(vae));
  return components;
}

}  // namespace stint
