// Between what a plan holds and what files hold: the values a run starts from, the snapshot of a
// run's state that is saved in the background, and what was trained as a file for others.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "executor/executor.h"
#include "executor/snapshot.h"
#include "files/training_state.h"
#include "models/workload.h"

namespace stint {

/// A run's state in host memory: each trained weight, its moments and average, by the name of its
/// buffer.
using StateTensors = std::map<std::string, torch::Tensor>;

/// What a whole snapshot holds. Tensors lie in its memory, where each becomes contiguous first: it
/// can be looked at so once.
StateTensors TakeTensors(const Profile& profile, const StateSnapshot& snapshot);

/// Names of what `workload` trains, in the order of the model's forward pass: of weights or of
/// adapters.
std::vector<std::string> TrainedNames(const Workload& workload);

/// Sets model, moments and averages of `state`; they lie in `tensors`.
void SetTensors(const StateTensors& tensors, const std::vector<std::string>& trained,
                TrainingState& state);

struct StartValues {
  const ValueSource& base;                 // "unet.<name>", as MakeCheckpointWeights has them.
  std::uint64_t seed = 0;                  // Of new adapters.
  const TrainingState* resumed = nullptr;  // May be null.
  std::string where{};                     // Of `resumed`, for errors.
};
/// References are kept. What is trained is as in the resumed state, or else as in the base, or new
/// adapters that change nothing yet; moments are those of the state, or 0.
/// So are averages: the first step replaces them.
/// Loading throws InputError naming file and tensor if the state lacks one or has it in other
/// sizes.
LoadValue LoadStart(const StartValues& start, const Workload& workload);

/// Writes what was trained, or with EMA its averages, into the folder `final_folder`, in place of
/// what has that name:
///     unet/config.json, unet/diffusion_pytorch_model.safetensors   as diffusers does, or
///     pytorch_lora_weights.safetensors                             in PEFT's style
/// @throws InputError naming the file.
void Export(const StateTensors& tensors, const Workload& workload,
            const std::filesystem::path& final_folder);

}  // namespace stint
