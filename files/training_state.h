// All that a training run needs to go on: what `checkpoint.pth` holds. In Python:
//
//     state = torch.load("checkpoint.pth", weights_only=True)
//     unet.load_state_dict(state["model_state_dict"])
//     optimizer.load_state_dict(state["optimizer_state_dict"])      # torch.optim.AdamW
//     state["epoch"], state["step"], state["ema"], state["scheduler"], state["rng"],
//     state["data_order"], state["run"]
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "files/pth.h"
#include "files/tensor.h"

namespace stint {

/// Of AdamW, for one parameter.
struct AdamWMoments {
  double step = 0;          // Updates so far; torch keeps it as a float32 tensor.
  TensorView exp_avg{};     // Of the sizes of the parameter, as the second.
  TensorView exp_avg_sq{};  //
};

struct AdamWState {
  double learning_rate = 0;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.01;
  /// In the order of the model's trained parameters; empty before the first update.
  std::vector<AdamWMoments> moments{};
};

/// Numbers and words by name: of the learning rate schedule, the random numbers, the data order.
using StateWords = std::map<std::string, std::variant<std::int64_t, double, std::string>>;

struct TrainingState {
  std::int64_t epoch = 0;
  std::int64_t step = 0;             // Updates done.
  std::vector<NamedTensor> model{};  // Trained parameters, diffusers' names.
  AdamWState optimizer{};            //
  std::vector<NamedTensor> ema{};    // Averaged parameters; empty without EMA.
  StateWords scheduler{};            // Kind, warm-up, total steps, ...
  StateWords rng{};                  // Seed and how many numbers are drawn.
  StateWords data_order{};           // Seed of the shuffle, position in the epoch.
  StateWords run{};                  // What was trained, and on what: a run that goes on must be
                                     // told the same. Files of others may lack it.
};

/// Writes whole or not at all; bytes go from the state's tensors straight to the file.
/// @throws InputError naming `path` if it cannot be written.
void WriteTrainingState(const std::filesystem::path& path, const TrainingState& state);

/// A state with the mapped file that its tensors lie in.
struct LoadedTrainingState {
  std::unique_ptr<PthFile> file{};
  TrainingState state{};
};

/// @throws InputError naming the file and the key if it is damaged or no training state.
LoadedTrainingState ReadTrainingState(const std::filesystem::path& path);

}  // namespace stint
