// A picture from a prompt as one program of three phases: text encoders, denoising steps, decoder.
#pragma once

#include <torch/types.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "dispatch/program.h"
#include "ir/profile.h"
#include "models/pipeline_config.h"
#include "models/sampler.h"

namespace stint {

/// Runs `workload`, a complete one whose task is "generate".
///
///     text_encode x1   prompts -> text states, pooled text; noise -> first latents
///     [encode x1]      picture -> its latents, noised; with a picture to begin with
///     denoise xN       one UNet call with guidance and the sampler's step; latents in place
///     decode x1        latents -> picture
///
/// Persistent buffers, b = batch, h and w of the latent, p = 2 b with a negative prompt, else b;
/// s = 2 b with guidance, else b:
///     weights by their part and name: "unet.conv_in.weight"; those that nothing needs are absent,
///     like the VAE's encoder where no picture comes in
///     token_ids, [token_ids_2]  int64 [p, 77]: without the prompts, then with them
///     [time_ids]                float32 [s, 6]
///     noise                     float32 [b, channels, h, w]
///     sampler_steps             float32 [N, 7]: see SamplerTable
///     initial_scale             float32 []: of the noise
///     [guidance_scale]          float32 []
///     [picture]                 float32 [1, 3, height, width] in [-1, 1]
///     [picture_noise]           float32 [1, channels, h, w]: draws the picture's latents
///     [picture_scale]           float32 []: of the picture's latents
/// Results: "latents" float32 [b, channels, h, w]; "image" uint8 [b, height, width, channels].
/// @throws InputError if the host's device does not have the workload's attention.
void RunGenerate(ProgramHost& host, const Workload& workload, const PipelineConfig& config);

/// The steps as the rows of sampler_steps: each one's numbers in the order of SamplerStep.
torch::Tensor SamplerTable(const SamplerSchedule& schedule);

}  // namespace stint
