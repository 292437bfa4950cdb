// The inputs of a generation from what a user says: prompts, seed, guidance, a picture.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "files/image.h"
#include "ir/profile.h"
#include "models/tokenizer.h"
#include "models/workload.h"

namespace stint {

struct GenerationRequest {
  std::string prompt{};
  std::string negative_prompt{};
  double guidance_scale = 7.5;
  std::uint64_t seed = 0;          // Of the noise, drawn as diffusers draws it on the CPU.
  std::optional<Image> picture{};  // To begin with, of the workload's size.
};

/// Values for the input buffers of `workload`, a complete one whose task is "generate". One
/// tokenizer for each text encoder; each pads as its checkpoint says. All pictures of a batch have
/// the same prompt and different noise.
/// @throws InputError if a prompt is not UTF-8.
std::unique_ptr<ValueSource> MakeGenerationInputs(const Workload& workload,
                                                  const GenerationRequest& request,
                                                  const std::vector<ClipTokenizer>& tokenizers);

}  // namespace stint
