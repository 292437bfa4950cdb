// The words of a complete workload as LibTorch understands them: shared by the programs.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "ir/profile.h"
#include "models/attention.h"
#include "models/unet_config.h"

namespace stint {

inline constexpr std::int64_t kTextTokenCount = 77;
inline constexpr std::int64_t kPxPerLatent = 8;

/// @throws InputError naming `--dtype` for words other than "float32", "bfloat16" and, where
/// nothing is trained, "float16".
torch::ScalarType ScalarTypeOf(const Workload& workload);

/// @throws InputError naming `--attention` if `device` does not have it.
AttentionKind AttentionOf(const Workload& workload, torch::Device device);

/// [batch, channels, height, width]
std::vector<std::int64_t> LatentSizes(const Workload& workload, const UnetConfig& config);

}  // namespace stint
