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

struct PipelineConfig {
  std::vector<TextEncoderConfig> text_encoders{};  // One; two in SDXL.
  UnetConfig unet{};
  VaeConfig vae{};
  SchedulerConfig scheduler{};
  std::int64_t step_count = 0;  // Of the sampler, for one picture.

  /// SDXL takes states from before the last layer, of both encoders, and the second's pooled text.
  bool HasPenultimateStates() const { return unet.HasAddition(); }
};

/// `text`: {"text_encoder": <its config.json>, ["text_encoder_2"], "unet", "vae", "scheduler",
/// ["sampler": as ReadSchedulerConfig takes it], ["step_count": 30]}.
/// @throws InputError naming `where` and JSON pointer of what is wrong in itself, or of parts that
/// do not go together.
PipelineConfig PipelineConfigFromJson(const std::string& text, const std::string& where);

/// The configurations in a diffusers folder, as PipelineConfigFromJson takes them.
/// @throws InputError naming the file that is missing or no JSON.
std::string ReadPipelineFolder(const std::filesystem::path& folder);

/// One part of a pipeline and its weights.
struct Component {
  std::string name{};  // Of its folder: "unet", "text_encoder", "text_encoder_2", "vae".
  std::vector<WeightSpec> weights{};
};

/// All parts that have weights: text encoders, UNet, VAE.
std::vector<Component> ComponentsOf(const PipelineConfig& config);

}  // namespace stint
