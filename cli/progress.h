// One line on stderr that shows how far long work is. Only on a terminal, and only once the work
// has taken two seconds; the line is gone when the work is done.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

namespace stint {

/// What a progress line says.
struct ProgressState {
  std::string what{};            // "planning".
  std::string unit{};            // "ops".
  std::string note{};            // "overhead 6.35 %"; may be empty.
  std::int64_t done_count = 0;   //
  std::int64_t total_count = 0;  // 0: not known; no bar and no time left.
  std::int64_t elapsed_ns = 0;   // > 0.
};

/// "running  [######------]  50 %  12000 of 24000 instructions  400 instructions/s  30.0 s left".
std::string FormatProgress(const ProgressState& state);

/// The line on the terminal; clears itself at the end of its life. A thread of its own redraws it,
/// so that the clock goes on while the work has nothing to say.
class Progress {
 public:
  Progress(std::string what, std::string unit);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// What the line says from now on.
  void Update(std::int64_t done_count, std::int64_t total_count, std::string note = "");

 private:
  using Clock = std::chrono::steady_clock;

  void RedrawUntilTheEnd();

  const Clock::time_point begin_ = Clock::now();
  std::mutex mutex_{};
  ProgressState state_{};    // Guarded.
  bool is_updated_ = false;  // Guarded: there is something to say.
  std::atomic<bool> is_over_ = false;
  std::thread redrawer_{};  // Only on a terminal.
};

}  // namespace stint
