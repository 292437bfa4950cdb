#include "cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "ir/units.h"

namespace stint {
namespace {

constexpr std::int64_t kBarWidth = 24;

}  // namespace

std::string FormatProgress(const ProgressState& state) {
  const double rate_per_s =
      static_cast<double>(state.done_count) * 1e9 / static_cast<double>(state.elapsed_ns);
  std::string line = state.what;
  if (state.total_count > 0) {
    const std::int64_t done_count = std::min(state.done_count, state.total_count);
    const auto filled = static_cast<std::size_t>(kBarWidth * done_count / state.total_count);
    line += fmt::format("  [{:-<{}}] {:3} %  {} of {} {}", std::string(filled, '#'), kBarWidth,
                        100 * done_count / state.total_count, done_count, state.total_count,
                        state.unit);
  } else if (state.done_count > 0) {
    line += fmt::format("  {} {}", state.done_count, state.unit);
  }
  if (state.done_count > 0) line += fmt::format("  {:.3g} {}/s", rate_per_s, state.unit);
  if (state.done_count > 0 && state.total_count > state.done_count) {
    const double left_s = static_cast<double>(state.total_count - state.done_count) / rate_per_s;
    line += fmt::format("  {} left", FormatDuration(static_cast<std::int64_t>(left_s * 1e9)));
  }
  if (state.done_count == 0) line += "  " + FormatDuration(state.elapsed_ns);
  if (!state.note.empty()) line += "  " + state.note;
  return line;
}

Progress::Progress(std::string what, std::string unit)
    : state_{.what = std::move(what), .unit = std::move(unit)},
      is_terminal_(isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
  if (is_drawn_) std::fputs("\r\033[K", stderr);
}

void Progress::Update(std::int64_t done_count, std::int64_t total_count, std::string note) {
  if (!is_terminal_ || Clock::now() < next_draw_) return;
  next_draw_ = Clock::now() + std::chrono::milliseconds(100);
  state_.done_count = done_count;
  state_.total_count = total_count;
  state_.note = std::move(note);
  state_.elapsed_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begin_).count();
  fmt::print(stderr, "\r\033[K{}", FormatProgress(state_));
  std::fflush(stderr);
  is_drawn_ = true;
}

}  // namespace stint
