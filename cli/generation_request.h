// What a user asks of `stint generate`, from flags to what the models' code takes.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cli/prepare_flags.h"
#include "files/image.h"
#include "models/checkpoint_weights.h"
#include "models/generation_inputs.h"
#include "models/model_files.h"

namespace stint {

/// As the flags say it.
struct GenerateFlags {
  std::string model{};
  std::string variant{};
  std::string config{};
  std::string tokenizer{};
  std::string prompt{};
  std::optional<std::string> negative_prompt{};
  double guidance_scale = 7.5;
  std::string size{};  // "512x768": width, height; empty: what the model was trained for.
  std::int64_t step_count = 30;
  std::string sampler{};
  std::uint64_t seed = 0;
  std::int64_t batch_count = 1;
  std::vector<std::string> loras{};  // "FILE" or "FILE:SCALE".
  std::string picture{};             // Of --init-image.
  double strength = 0.8;
  std::string dtype{};  // Empty: float16 on a GPU, else float32.
  PrepareFlags prepare{};
  std::string latents{};  // File; empty: none.
  std::string output{};
  bool is_json = false;
};

/// "lora.safetensors:0.8" -> file and scale; a file whose whole name is this comes first.
/// @throws InputError naming `--lora` if the scale is no number.
LoraChoice ParseLoraFlag(const std::string& text);

/// "512x768" -> 512 wide, 768 high.
/// @throws InputError naming `--size`.
ImageSize ParseSize(const std::string& text);

/// The size that the model was trained for, as its UNet's configuration says; else 512x512.
ImageSize DefaultSize(const ModelFiles& model);

/// The workload, completed; `device` is in use.
/// @throws InputError naming the flag.
Workload GenerationWorkload(const GenerateFlags& flags, const ModelFiles& model,
                            torch::Device device);

/// Prompts, seed and picture; the picture is scaled and cropped to the workload's size.
GenerationRequest MakeGenerationRequest(const GenerateFlags& flags, const Workload& workload);

/// What the PNG says under "parameters", in the words that image generators share:
///
///     a red boat
///     Negative prompt: fog
///     Steps: 30, Sampler: euler, CFG scale: 7.5, Seed: 0, Size: 512x512, Model: sd15, ...
std::string DescribeParameters(const GenerateFlags& flags, const Workload& workload,
                               std::int64_t picture_index);

/// The files of a batch: "out.png", or "out-0.png", "out-1.png", ...
std::vector<std::filesystem::path> OutputPaths(const std::string& output, std::int64_t count);

}  // namespace stint
