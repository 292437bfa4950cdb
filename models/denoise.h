// One step of image generation as a program: the UNet with guidance, and the sampler's update.
#pragma once

#include "dispatch/program.h"
#include "ir/profile.h"
#include "models/unet_config.h"

namespace stint {

/// Runs `workload`, a complete one whose task is "denoise": one phase "denoise".
///
/// Persistent buffers, b = batch, h and w of the latent:
///     every UNet weight by diffusers' name
///     latents       float32 [b, channels, h, w]
///     timestep      int64 [1]
///     text_states, [pooled_text, time_ids]   of 2 b samples: without the prompt, then with it
///     latent_scale, noise_scale   float32 []: the sampler's step, see DdimStep
/// Result: "latents" again, a new buffer: what the next step starts from.
/// @throws InputError if the host's device does not have the workload's attention.
void RunDenoise(ProgramHost& host, const Workload& workload, const UnetConfig& config);

}  // namespace stint
