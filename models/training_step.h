// One optimizer step of training as a program: micro-steps that add up gradients, then fused AdamW,
// one for each group of parameters whose gradients become final one after the other.
//
// With clipping, a group's norm is taken as soon as its last gradient is final, and all updates
// wait for the scale that follows from all norms. It stays on the device.
#pragma once

#include "dispatch/program.h"
#include "ir/profile.h"
#include "kernels/adamw.h"
#include "models/unet_config.h"

namespace stint {

/// As torch.optim.AdamW has them.
inline constexpr AdamWOptions kTrainingAdamW = {
    .beta1 = 0.9, .beta2 = 0.999, .weight_decay = 1e-2, .epsilon = 1e-8};

/// Of the name of a trained parameter's average.
inline constexpr char kEmaSuffix[] = ".ema";

/// Runs `workload`, a complete one whose task is "train" or "train-lora".
///
///     micro_step_count   phases
///     1                  step x1
///     2                  first x1, last x1
///     k                  first x1, middle x(k-2), last x1
///
/// Persistent buffers, s = samples of all k micro-steps (the first micro-step's first), h and w of
/// the latent:
///     every UNet weight by diffusers' name, and [<adapter>]
///     "<trained>.exp_avg", "<trained>.exp_avg_sq"
///     ["<trained>.ema"]                      float32, the average of the weights: with has_ema
///     latents, noise                         float32 [s, channels, h, w]
///     timesteps                              int64 [s]
///     loss_weights                           float32 [s]: factor of a sample's squared error
///     text_states, [pooled_text, time_ids]   of s samples
///     learning_rate                          float32 []
///     [ema_rate]                             float32 []: how much of an average a step replaces
///     step                                   float32 []: one counter for all parameters
///     alphas_cumprod                         float32 [1000], constant
/// Results: loss, the mean over all samples; the gradient of each trained parameter, clipped.
/// @throws InputError if the host's device does not have the workload's attention.
void RunTraining(ProgramHost& host, const Workload& workload, const UnetConfig& config);

}  // namespace stint
