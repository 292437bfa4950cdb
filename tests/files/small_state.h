// A training state of two small parameters with the numbers it points to.
#pragma once

#include <cstdint>
#include <vector>

#include "files/training_state.h"

namespace stint {

struct SmallState {
  /// All numbers are `step`; two states of one step are equal.
  explicit SmallState(std::int64_t step)
      : weight(6, static_cast<float>(step)), bias(3, static_cast<std::uint16_t>(step)) {
    const TensorView weight_view = {
        .dtype = Dtype::kF32, .sizes = {3, 2}, .data = std::as_bytes(std::span(weight))};
    const TensorView bias_view = {
        .dtype = Dtype::kBf16, .sizes = {3}, .data = std::as_bytes(std::span(bias))};
    const auto count = static_cast<double>(step);
    state = {.epoch = 2,
             .step = step,
             .model = {{"conv.weight", weight_view}, {"conv.bias", bias_view}},
             .optimizer = {.learning_rate = 1e-4,
                           .moments = {{count, weight_view, weight_view},
                                       {count, bias_view, bias_view}}},
             .ema = {{"conv.weight", weight_view}},
             .scheduler = {{"kind", "cosine"}, {"warm_up_steps", std::int64_t{10}}},
             .rng = {{"seed", std::int64_t{0x7FFFFFFFFFFF}}},
             .data_order = {{"position", std::int64_t{-1}}, {"scale", 0.25}}};
  }
  SmallState(const SmallState&) = delete;
  SmallState& operator=(const SmallState&) = delete;

  std::vector<float> weight{};
  std::vector<std::uint16_t> bias{};
  TrainingState state{};
};

}  // namespace stint
