#include "models/initial_weight.h"

#include <ATen/ATen.h>

#include <cmath>
#include <string_view>

#include "models/random.h"

namespace stint {

void FillInitialWeight(const std::string& name, std::uint64_t seed, const torch::Tensor& value) {
  constexpr std::string_view kAdapterA = ".lora_A.weight";
  constexpr std::string_view kAdapterB = ".lora_B.weight";
  const std::uint64_t key = RandomKey(seed, name);
  if (name.ends_with(kAdapterA)) {
    FillBell(key, 1.0 / static_cast<double>(value.size(0)), value);
  } else if (name.ends_with(kAdapterB) || name.ends_with(".bias")) {
    value.zero_();
  } else if (value.dim() == 1) {
    value.fill_(1);  // Of a norm.
  } else {
    const auto fan_in = static_cast<double>(value[0].numel());
    FillUniform(key, 1 / std::sqrt(fan_in), value);
  }
}

}  // namespace stint
