// The training states of one run, in its folder:
//
//     checkpoint-00000500.pth        the last K of them, by the count of updates done
//     checkpoint-00001000.pth
//     checkpoint.pth                 a symbolic link to the newest
//     .checkpoint-....pth.4711.tmp   being written; of no account until it is renamed
//
// A state has its name only once it is whole and on the disk, so a run that is killed at any moment
// leaves the states it had before.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <future>
#include <optional>

#include "files/training_state.h"

namespace stint {

/// Writes `state` as the newest of `folder`, which is made if need be, moves the link to it, and
/// removes all others but the `keep_count` - 1 before it; `keep_count` is at least 1. States of
/// later steps go, too: a folder belongs to one run, and that run has gone back.
/// @throws InputError naming the file; the states of before are then as they were.
void SaveTrainingState(const std::filesystem::path& folder, const TrainingState& state,
                       std::int64_t keep_count);

/// The file of the newest state of `folder` that can be read, or nothing where there is none. A
/// file that is damaged, by whatever means, is passed over.
std::optional<std::filesystem::path> FindNewestState(const std::filesystem::path& folder);

/// Removes what a killed run left half-written.
void CleanCheckpointFolder(const std::filesystem::path& folder);

/// Saves in the background, one state at a time.
class BackgroundSaver {
 public:
  BackgroundSaver() = default;
  /// Waits for the save in progress; its error is lost here, so call Wait first.
  ~BackgroundSaver();
  BackgroundSaver(const BackgroundSaver&) = delete;
  BackgroundSaver& operator=(const BackgroundSaver&) = delete;

  /// Begins `save` on a thread of its own; waits first if another is in progress. What `save` reads
  /// must stay as it is until IsBusy is false or Wait returns.
  /// @throws what the save before threw, if nobody has heard of it; `save` is then not begun.
  void Start(std::function<void()> save);
  bool IsBusy() const;
  /// Waits for the save in progress, if any.
  /// @throws what it threw.
  void Wait();

 private:
  std::future<void> saving_{};
};

}  // namespace stint
