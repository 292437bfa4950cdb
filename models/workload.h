// From the words of a workload ("sd15-unet", train, batch 4, 512x512, bfloat16) to the program that
// does it, and to the values it starts from.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "dispatch/program.h"
#include "ir/profile.h"

namespace stint {

/// How pictures are generated: part of the configuration of a "generate" workload.
struct Sampling {
  std::string sampler{};        // "ddim", "euler", "dpm++2m", ...; empty: the model's own.
  std::int64_t step_count = 0;  // 0: 30.
  std::string guidance{};       // "none", "prompt" or "zeros", see Guidance; empty: "prompt".
  std::int64_t picture_step_count = 0;  // See PipelineConfig; 0: begins with noise.
};

/// Completes a workload: `model` is one of models/configs/ ("sd15-unet", "sdxl-unet") or the path
/// of a diffusers UNet config.json, whose text goes into config_json. For "generate" it is a whole
/// model ("sd15", "sdxl") or the path of a diffusers folder, and `sampling` goes there, too. A
/// config_json that is there already is taken, and `model` is only its name. Checks that the
/// numbers go together.
/// @throws InputError naming the flag or the place in config.json.
Workload CompleteWorkload(Workload workload, const Sampling& sampling = {});

/// Fills what is empty of `attention` and `layout` with what is fastest on `device`, which is in
/// use: channels_last where a GPU computes in half precision, and there the attention that LibTorch
/// ranks first.
/// @throws InputError naming `--dtype` or `--autocast`.
Workload ChooseKernels(Workload workload, torch::Device device);

/// The program of a completed workload:
///   train       loss of the predicted noise or velocity, backward, fused AdamW for each parameter
///   train-lora  the same for low-rank adapters of the attention projections; other weights frozen
///   generate    from token ids to a picture: text encoders, N denoising steps, decoder
///   denoise     one UNet call of a denoising step with guidance, and the sampler's update
/// @throws InputError if the workload is not complete or its device and attention do not go
/// together.
Program BuildProgram(const Workload& workload);

/// Where the values of persistent buffers come from.
class ValueSource {
 public:
  virtual ~ValueSource() = default;
  /// Fills `value`, a CPU tensor that fills its storage, with what the buffer holds before the
  /// first iteration.
  /// @throws InputError naming the file and tensor if it has none of these sizes.
  virtual void Load(const Buffer& buffer, const torch::Tensor& value) const = 0;
};

/// `text`: "seed:N" or a .safetensors file with diffusers' names. Weights by name; moments, steps
/// and adapters start as a fresh run's. `flag` is named in errors.
std::unique_ptr<ValueSource> MakeWeightSource(const std::string& text, const std::string& flag);
std::unique_ptr<ValueSource> MakeInputSource(const std::string& text, const std::string& flag);

}  // namespace stint
