// How much of a solve's limits a joint search has used: time, work, or moves, whichever is nearest
// to its end.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "planner/solver.h"

namespace stint {

// The chains take this part of the limits; the rest is for addresses.
inline constexpr double kSearchPart = 0.85;
// Moves of a chain, from the first to the last, after which it has done what it can.
inline constexpr double kMoveLimit = 400'000;

/// A part of a Solve's limits.
struct Stretch {
  double begin = 0;  // In [0, 1].
  double end = 1;
};

/// How much of a Solve's limits is used.
class JointLimits {
 public:
  /// Keeps a reference to `options`; the time begins now.
  explicit JointLimits(const SolveOptions& options) : options_(options), begin_(Clock::now()) {}

  /// Whether nothing may go on that can be left out.
  bool IsOver() const {
    const double elapsed_s = std::chrono::duration<double>(Clock::now() - begin_).count();
    return elapsed_s >= options_.time_limit_s ||
           (options_.stop != nullptr && options_.stop->load());
  }

  /// How much of all that the chains may use is used; 1 and more: all of it.
  double UsedPart(std::int64_t step_count) const { return UsedPart({}, step_count, 0); }

  /// The same of `stretch`.
  double UsedPart(const Stretch& stretch, std::int64_t step_count, std::int64_t move_count) const {
    if (options_.stop != nullptr && options_.stop->load()) {
      return 1;
    }
    const auto within = [&](double part) {
      return (part - stretch.begin) / (stretch.end - stretch.begin);
    };
    const double elapsed_s = std::chrono::duration<double>(Clock::now() - begin_).count();
    const double time_part = within(elapsed_s / (kSearchPart * options_.time_limit_s));
    const double move_part =
        static_cast<double>(move_count) / (kMoveLimit * (stretch.end - stretch.begin));
    if (options_.work_limit == 0) {
      return std::max(time_part, move_part);
    }
    // With a work limit the clock may end the search but not steer it.
    const double work_part =
        within(static_cast<double>(step_count) / static_cast<double>(options_.work_limit));
    return time_part >= 1 ? 1 : std::max(work_part, move_part);
  }

 private:
  using Clock = std::chrono::steady_clock;

  const SolveOptions& options_;
  const Clock::time_point begin_;
};

}  // namespace stint
