// One line on stderr that shows how far long work is. Only on a terminal, and only once the work
// has taken two seconds; the line is gone when the work is done.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

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

/// The line on the terminal; clears itself at the end of its life.
class Progress {
 public:
  Progress(std::string what, std::string unit);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Redraws at most ten times a second.
  void Update(std::int64_t done_count, std::int64_t total_count, std::string note = "");

 private:
  using Clock = std::chrono::steady_clock;

  ProgressState state_{};
  const Clock::time_point begin_ = Clock::now();
  Clock::time_point next_draw_ = begin_ + std::chrono::seconds(2);
  const bool is_terminal_;
  bool is_drawn_ = false;
};

}  // namespace stint
