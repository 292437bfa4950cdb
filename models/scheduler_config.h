// How latents are denoised: the sampler and its rules, read from diffusers' scheduler_config.json.
// Knows no LibTorch.
#pragma once

#include <cstdint>
#include <string>

#include "models/config_reader.h"
#include "models/prediction.h"

namespace stint {

enum class SamplerKind : std::uint8_t {
  kDdim,   // Without added noise.
  kEuler,  //
  kDpm2m,  // DPM-Solver++ of second order, multistep, midpoint.
};

/// Which of the 1000 timesteps the sampler visits.
enum class Spacing : std::uint8_t { kLeading, kLinspace, kTrailing };

struct SchedulerConfig {
  SamplerKind sampler{};
  Prediction prediction{};
  Spacing spacing{};
  std::int64_t step_offset = 0;     // Added to the timesteps of leading spacing.
  bool ends_without_noise = false;  // DDIM: the last step goes to no noise, not to timestep 0's.
  bool has_karras_spacing = false;  // Euler, DPM: noise levels spaced as Karras et al. (2022).
};

/// "ddim", "euler" or "dpm++2m"; with "-karras" behind the last two: evenly spaced otherwise.
/// Empty: what the configuration names (PNDM is run as DDIM, whose rules it shares).
/// @throws InputError naming `--sampler` for any other word; else naming the place of keys that
/// Stint does not know, features that it does not have, and numbers that do not go together.
SchedulerConfig ReadSchedulerConfig(const ConfigReader& reader, const std::string& sampler = "");

}  // namespace stint
