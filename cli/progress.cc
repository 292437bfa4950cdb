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
constexpr std::chrono::milliseconds kRedrawInterval{100};
constexpr std::chrono::seconds kSilence{2};  // Short work needs no progress.

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
  if (!state.note.empty()) line += "  " + state.note;
  if (state.done_count == 0) line += "  " + FormatDuration(state.elapsed_ns);
  return line;
}

Progress::Progress(std::string what, std::string unit)
    : state_{.what = std::move(what), .unit = std::move(unit)} {
  if (isatty(STDERR_FILENO) == 1) redrawer_ = std::thread([this] { RedrawUntilTheEnd(); });
}

Progress::~Progress() {
  is_over_ = true;
  if (redrawer_.joinable()) redrawer_.join();
}

void Progress::Update(std::int64_t done_count, std::int64_t total_count, std::string note) {
  const std::scoped_lock lock(mutex_);
  state_.done_count = done_count;
  state_.total_count = total_count;
  state_.note = std::move(note);
  is_updated_ = true;
}

void Progress::RedrawUntilTheEnd() {
  bool is_drawn = false;
  for (; !is_over_; std::this_thread::sleep_for(kRedrawInterval)) {
    const auto elapsed = Clock::now() - begin_;
    const std::scoped_lock lock(mutex_);
    if (!is_updated_ || elapsed < kSilence) continue;
    state_.elapsed_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(elapsed).count();
    fmt::print(stderr, "\r\033[K{}", FormatProgress(state_));
    std::fflush(stderr);
    is_drawn = true;
  }
  if (is_drawn) std::fputs("\r\033[K", stderr);
}

}  // namespace stint
