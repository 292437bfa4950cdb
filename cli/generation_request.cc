#include "cli/generation_request.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <system_error>

#include "ir/errors.h"
#include "ir/quoted.h"
#include "models/pipeline_config.h"

namespace stint {
namespace {

constexpr double kUnguidedScale = 1;  // Up to here guidance does nothing, as in diffusers.

/// "none", "prompt" or "zeros": see Guidance.
std::string GuidanceOf(const GenerateFlags& flags, const ModelFiles& model) {
  if (!(flags.guidance_scale > kUnguidedScale)) return "none";
  const bool takes_zeros = model.takes_zeros_for_no_prompt && !flags.negative_prompt;
  return takes_zeros ? "zeros" : "prompt";
}

/// How many of the steps are done to a picture that is changed with this strength.
std::int64_t PictureStepCount(const GenerateFlags& flags) {
  if (flags.picture.empty()) return 0;
  if (!(flags.strength > 0 && flags.strength <= 1)) {
    throw InputError("--strength", fmt::format("is {}, not above 0 and at most 1", flags.strength));
  }
  const auto count =
      static_cast<std::int64_t>(static_cast<double>(flags.step_count) * flags.strength);
  if (count == 0) {
    throw InputError("--strength", fmt::format("is {}: of {} steps none would be done",
                                               flags.strength, flags.step_count));
  }
  return count;
}

std::string SamplerName(const PipelineConfig& config) {
  const std::string suffix = config.scheduler.has_karras_spacing ? "-karras" : "";
  switch (config.scheduler.sampler) {
    case SamplerKind::kDdim:
      return "ddim";
    case SamplerKind::kEuler:
      return "euler" + suffix;
    case SamplerKind::kDpm2m:
      return "dpm++2m" + suffix;
  }
  throw std::logic_error("a sampler without a name");
}

}  // namespace

LoraChoice ParseLoraFlag(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  std::error_code ignored;
  if (colon == std::string::npos || std::filesystem::exists(text, ignored)) return {.path = text};
  LoraChoice choice = {.path = text.substr(0, colon)};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, choice.scale);
  if (error != std::errc() || stop != end || !std::isfinite(choice.scale)) {
    throw InputError("--lora", fmt::format("is '{}': there is no such file, and what follows the "
                                           "colon is no number",
                                           Quoted(text)));
  }
  return choice;
}

ImageSize ParseSize(const std::string& text) {
  ImageSize size;
  const char* const end = text.data() + text.size();
  const auto width = std::from_chars(text.data(), end, size.width_px);
  const bool has_x = width.ec == std::errc() && width.ptr != end && *width.ptr == 'x';
  const auto height = has_x ? std::from_chars(width.ptr + 1, end, size.height_px)
                            : std::from_chars_result{width.ptr, std::errc::invalid_argument};
  if (height.ec != std::errc() || height.ptr != end) {
    throw InputError("--size",
                     fmt::format("is '{}', not WIDTHxHEIGHT, such as 512x768", Quoted(text)));
  }
  return size;
}

ImageSize DefaultSize(const ModelFiles& model) {
  constexpr std::int64_t kFallbackPx = 512;
  constexpr std::int64_t kMaxLatent = 512;
  const nlohmann::json config = nlohmann::json::parse(model.config_json);
  const nlohmann::json size = config.at("unet").value("sample_size", nlohmann::json());
  const bool is_size = size.is_number_integer() && size > 0 && size <= kMaxLatent;
  constexpr std::int64_t kLatentPx = 8;
  const std::int64_t edge_px = is_size ? kLatentPx * size.get<std::int64_t>() : kFallbackPx;
  return {.width_px = edge_px, .height_px = edge_px};
}

Workload GenerationWorkload(const GenerateFlags& flags, const ModelFiles& model,
                            torch::Device device) {
  const ImageSize size = flags.size.empty() ? DefaultSize(model) : ParseSize(flags.size);
  Workload workload = {.model = model.name,
                       .config_json = model.config_json,
                       .task = "generate",
                       .dtype = flags.dtype,
                       .batch_count = flags.batch_count,
                       .height_px = size.height_px,
                       .width_px = size.width_px,
                       .layout = ""};
  if (workload.dtype.empty()) workload.dtype = device.is_cuda() ? "float16" : "float32";
  workload = ChooseKernels(std::move(workload), device);
  try {
    return CompleteWorkload(std::move(workload), {.sampler = flags.sampler,
                                                  .step_count = flags.step_count,
                                                  .guidance = GuidanceOf(flags, model),
                                                  .picture_step_count = PictureStepCount(flags)});
  } catch (const InputError& error) {
    if (error.where() == "--height") throw InputError("--size", "the height " + error.fact());
    if (error.where() == "--width") throw InputError("--size", "the width " + error.fact());
    throw;
  }
}

GenerationRequest MakeGenerationRequest(const GenerateFlags& flags, const Workload& workload) {
  GenerationRequest request = {.prompt = flags.prompt,
                               .negative_prompt = flags.negative_prompt.value_or(""),
                               .guidance_scale = flags.guidance_scale,
                               .seed = flags.seed};
  if (!flags.picture.empty()) {
    request.picture = CropToSize(ReadImage(flags.picture),
                                 {.width_px = workload.width_px, .height_px = workload.height_px});
  }
  return request;
}

std::string DescribeParameters(const GenerateFlags& flags, const Workload& workload,
                               std::int64_t picture_index) {
  const PipelineConfig config = PipelineConfigFromJson(workload.config_json, workload.model);
  std::string text = flags.prompt + "\n";
  if (flags.negative_prompt && !flags.negative_prompt->empty()) {
    text += fmt::format("Negative prompt: {}\n", *flags.negative_prompt);
  }
  text += fmt::format("Steps: {}, Sampler: {}, CFG scale: {}, Seed: {}, Size: {}x{}, Model: {}",
                      config.step_count, SamplerName(config), flags.guidance_scale, flags.seed,
                      workload.width_px, workload.height_px, workload.model);
  if (workload.batch_count > 1) {
    text += fmt::format(", Batch size: {}, Batch pos: {}", workload.batch_count, picture_index);
  }
  if (config.picture_step_count > 0) {
    text += fmt::format(", Denoising strength: {}", flags.strength);
  }
  for (const std::string& lora : flags.loras) {
    const LoraChoice choice = ParseLoraFlag(lora);
    text += fmt::format(", Lora: {}:{}", choice.path.filename().string(), choice.scale);
  }
  return text + fmt::format(", Dtype: {}", workload.dtype);
}

std::vector<std::filesystem::path> OutputPaths(const std::string& output, std::int64_t count) {
  const std::filesystem::path path = output;
  if (path.extension() != ".png") {
    throw InputError("--output", fmt::format("is '{}', not a .png file", Quoted(output)));
  }
  if (count == 1) return {path};
  std::vector<std::filesystem::path> paths;
  for (std::int64_t i = 0; i < count; ++i) {
    paths.push_back(path.parent_path() / fmt::format("{}-{}.png", path.stem().string(), i));
  }
  return paths;
}

}  // namespace stint
