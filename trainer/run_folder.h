// The folder of a training run:
//
//     checkpoint-00000500.pth, checkpoint.pth   its states (files/checkpoint_folder.h)
//     metrics.jsonl                             a line for each step
//     validation/                               pictures on the way, if wanted
//     cache/                                    latents and text states, unless they are elsewhere
//     final/                                    what was trained, for others to load
//
// No LibTorch.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "files/training_state.h"

namespace stint {

/// A state to go on from.
struct ResumedState {
  std::filesystem::path path{};
  LoadedTrainingState loaded{};
  std::string note{};  // Why it is not the newest, in one line; empty: it is.
};

/// Makes the folder of a new run.
/// @throws InputError naming `--output` if it holds a run already, or cannot be made.
void BeginRun(const std::filesystem::path& folder);

/// What `resume` says: "latest" is the newest state of `folder` that can be read, anything else a
/// file. All of its bytes have been checked.
/// @throws InputError naming `--resume` if there is no such state, or the file that is damaged.
ResumedState FindState(const std::filesystem::path& folder, const std::string& resume);

/// Word of runs with aspect buckets: their sizes. Runs without do not have it.
inline constexpr char kAspectBuckets[] = "aspect buckets";

/// @throws InputError naming `where` and what differs, if a word that is now was another one, or if
/// one of the two has aspect buckets and the other has none.
void CheckSameRun(const StateWords& was, const StateWords& is, const std::string& where);

struct StepMetrics {
  std::int64_t step = 0;  // Steps done with this one.
  std::int64_t epoch = 0;
  double loss = 0;
  double learning_rate = 0;
  double steps_per_s = 0;       // Of late.
  std::int64_t peak_bytes = 0;  // Of the plan's arena.
  std::string size{};           // Of its pictures, "128x256"; empty: all have the same.
  /// Of a step whose state is saved: how long the run stood still before it, until the save before
  /// was on the disk; there is one at a time.
  std::optional<double> save_wait_s{};
};

/// metrics.jsonl. Lines are on their way to the disk when Append returns.
class MetricsFile {
 public:
  /// Keeps the lines of steps up to `step_count`: later ones are done again.
  /// @throws InputError naming the file if it cannot be written, here and below.
  MetricsFile(const std::filesystem::path& folder, std::int64_t step_count);
  void Append(const StepMetrics& metrics);

 private:
  std::filesystem::path path_;
  std::ofstream file_{};
};

}  // namespace stint
