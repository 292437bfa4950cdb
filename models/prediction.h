// What a UNet predicts. No LibTorch.
#pragma once

#include <cstdint>
#include <string>

namespace stint {

/// What a UNet was trained to predict of latent = sqrt(a) * signal + sqrt(1 - a) * noise.
enum class Prediction : std::uint8_t {
  kNoise,     // The noise: "epsilon".
  kVelocity,  // sqrt(a) * noise - sqrt(1 - a) * signal: "v_prediction".
};

/// `where` is a flag or the place in a file; an empty `word` is "epsilon".
/// @throws InputError naming `where` for any other word.
Prediction PredictionFromName(const std::string& word, const std::string& where);

}  // namespace stint
