// A whole model, from prompt to picture: the configurations of its parts, as a diffusers folder
// holds them. Knows no LibTorch.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "models/scheduler_config.h"
#include "models/text_encoder_config.h"
#include "models/unet_config.h"
#include "models/vae_config.h"
#include "models/weights.h"

namespace stint {

/// What the prompt's prediction is held against: guidance leads away from that.
enum class Guidance : std::uint8_t {
  kNone,            // Nothing: the prompt's alone, in half the time.
  kNegativePrompt,  // A second prompt, which may be empty.
  kZeros,           // Text states of zeros: how SDXL was trained to be without a prompt.
};

struct PipelineConfig {
  std::vector<TextEncoderConfig> text_encoders{};  // One; two in SDXL.
  UnetConfig unet{};
  VaeConfig vae{};
  SchedulerConfig scheduler{};
  std::int64_t step_count = 0;  // Of the sampler, for one picture.
  Guidance guidance = Guidance::kNegativePrompt;
  std::int64_t picture_step_count = 0;  // > 0: begin with a picture, noised as for the last so many
                                        // steps, and do only these. 0: begin with noise.

  /// SDXL takes states from before the last layer, of both encoders, and the second's pooled text.
  bool HasPenultimateStates() const { return unet.HasAddition(); }
  /// Prompts that are encoded, and samples that the UNet sees, for each picture.
  std::int64_t PromptsPerPicture() const { return guidance == Guidance::kNegativePrompt ? 2 : 1; }
  std::int64_t SamplesPerPicture() const { return guidance == Guidance::kNone ? 1 : 2; }
  /// Denoising steps that are done.
  std::int64_t DoneStepCount() const {
    return picture_step_count > 0 ? picture_step_count : step_count;
  }
};

/// `text`: {"text_encoder": <its config.json>, ["text_encoder_2"], "unet", "vae", "scheduler",
/// ["sampler": as ReadSchedulerConfig takes it], ["step_count": 30],
/// ["guidance": "none", "prompt" or "zeros"; "prompt"], ["picture_step_count"]}.
/// @throws InputError naming `where` and JSON pointer of what is wrong in itself, or of parts that
/// do not go together.
PipelineConfig PipelineConfigFromJson(const std::string& text, const std::string& where);

/// The configurations in a diffusers folder, as PipelineConfigFromJson takes them.
/// @throws InputError naming the file that is missing or no JSON.
std::string ReadPipelineFolder(const std::filesystem::path& folder);

/// Whether a model with `config` takes zeros where there is no negative prompt: SDXL does, unless
/// the folder's model_index.json says otherwise.
/// @throws InputError naming that file if it is no JSON.
bool TakesZerosForNoPrompt(const std::filesystem::path& folder, const PipelineConfig& config);

/// One part of a pipeline and its weights.
struct Component {
  std::string name{};  // Of its folder: "unet", "text_encoder", "text_encoder_2", "vae".
  std::vector<WeightSpec> weights{};
};

/// All parts that have weights: text encoders, UNet, VAE.
std::vector<Component> ComponentsOf(const PipelineConfig& config);

}  // namespace stint
