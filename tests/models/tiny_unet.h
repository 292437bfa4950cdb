// The tiny UNet's workload and values, shared by the tests of this folder.
#pragma once

#include <ATen/ATen.h>

#include <string>

#include "models/workload.h"
#include "tests/support/eager_host.h"

namespace stint {

inline Workload TinyWorkload(const std::string& task, const std::string& model = "tiny-unet") {
  return CompleteWorkload({.model = model,
                           .task = task,
                           .dtype = "float32",
                           .attention = "cpu",
                           .batch_count = 2,
                           .height_px = 64,
                           .width_px = 128,
                           .lora_rank = task == "train-lora" ? 4 : 0});
}

/// Weights from seed 0, inputs from seed 1.
inline void LoadFromSeeds(const Buffer& buffer, const at::Tensor& value) {
  const bool is_weight =
      buffer.role == BufferRole::kWeight || buffer.role == BufferRole::kOptimizerState;
  const auto source =
      is_weight ? MakeWeightSource("seed:0", "--weights") : MakeInputSource("seed:1", "--inputs");
  source->Load(buffer, value);
}

/// The largest difference between two tensors of equal sizes.
inline double MaxDifference(const at::Tensor& a, const at::Tensor& b) {
  return a.numel() == 0 ? 0 : at::sub(a, b).abs().max().item<double>();
}

}  // namespace stint
