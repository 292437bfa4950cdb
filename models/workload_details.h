// The words of a complete workload as LibTorch understands them: shared by the programs.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "dispatch/program.h"
#include "ir/profile.h"
#include "models/attention.h"
#include "models/noise_schedule.h"
#include "models/unet.h"
#include "models/unet_config.h"

namespace stint {

inline constexpr std::int64_t kTextTokenCount = 77;
inline constexpr std::int64_t kPxPerLatent = 8;

/// @throws InputError naming `--dtype` for words other than "float32", "bfloat16" and, where
/// nothing is trained, "float16".
torch::ScalarType ScalarTypeOf(const Workload& workload);

/// What the UNet computes in: the dtype of its activations. That of the weights without autocast.
/// @throws InputError as ScalarTypeOf; naming `--autocast` if it is not "bfloat16" or the weights
/// are not float32.
torch::ScalarType ComputeTypeOf(const Workload& workload);

/// @throws InputError naming `--attention` if `device` does not have it.
AttentionKind AttentionOf(const Workload& workload, torch::Device device);

/// @throws InputError naming `--prediction` for words other than "epsilon" and "v_prediction".
Prediction PredictionOf(const Workload& workload);

/// Declares what the UNet is told of `sample_count` samples, as inputs of these names:
///     text_states  [samples, 77, cross attention size]
///     pooled_text  [samples, pooled text size], time_ids float32 [samples, 6]: where the model has
///                  an addition
UnetInputs DeclareConditions(ProgramHost& host, const Workload& workload, const UnetConfig& config,
                             std::int64_t sample_count);

/// [batch, channels, height, width]
std::vector<std::int64_t> LatentSizes(const Workload& workload, const UnetConfig& config);

}  // namespace stint
