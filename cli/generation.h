// A prepared generation, run once: from weights and inputs to pictures.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <map>
#include <string>

#include "cli/prepare.h"
#include "dispatch/device_runtime.h"
#include "files/image.h"
#include "ir/report.h"
#include "models/workload.h"

namespace stint {

/// One generation, done.
struct Generated {
  Report predicted{};
  Report measured{};
  std::string difference{};                        // In memory, between the two; empty: none.
  std::map<std::string, torch::Tensor> outputs{};  // On the CPU: "image", uint8 [batch, height,
                                                   // width, 3], and "latents".
  std::int64_t load_ns = 0;                        // Reading weights and loading them.
};

/// Runs the plan that `prepared` has. Shows progress on the terminal.
/// @throws InputError as Execute does.
Generated Generate(const Prepared& prepared, const ValueSource& weights, const ValueSource& inputs,
                   DeviceRuntime& runtime);

/// Picture `index` of the batch.
Image PictureOf(const Generated& generated, std::int64_t index);

}  // namespace stint
