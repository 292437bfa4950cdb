// How fast the averages of trained weights (EMA) follow the weights: diffusers' EMAModel with its
// defaults, as its text-to-image training script uses it. No LibTorch.
#pragma once

#include <algorithm>
#include <cstdint>

namespace stint {

/// What a step replaces of an average: 1 - min(max_decay, (1 + n) / (10 + n)) with n = `step`,
/// counted from 0, and all of it in step 0. `max_decay` lies in [0, 1].
inline double EmaRateAt(double max_decay, std::int64_t step) {
  if (step <= 0) return 1;
  const auto count = static_cast<double>(step);
  return 1 - std::min(max_decay, (1 + count) / (10 + count));
}

}  // namespace stint
