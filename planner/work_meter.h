// Counts a solver's steps and says when its limits are reached.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "planner/solver.h"

namespace stint {

/// Owned by one Solve call; keeps a pointer to the options' stop flag.
class WorkMeter {
 public:
  explicit WorkMeter(const SolveOptions& options)
      : work_limit_(options.work_limit),
        deadline_(Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                     std::chrono::duration<double>(options.time_limit_s))),
        stop_(options.stop) {}

  void Add(std::int64_t step_count) { step_count_ += step_count; }
  std::int64_t step_count() const { return step_count_; }

  /// Whether any limit is reached; stays true once it is. Looks at the clock only now and then.
  bool IsSpent() {
    is_spent_ = is_spent_ || (work_limit_ > 0 && step_count_ >= work_limit_) ||
                (stop_ != nullptr && stop_->load(std::memory_order_relaxed));
    if (!is_spent_ && step_count_ >= next_look_) {
      next_look_ = step_count_ + kStepsBetweenLooks;
      is_spent_ = Clock::now() >= deadline_;
    }
    return is_spent_;
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::int64_t kStepsBetweenLooks = 1 << 16;

  std::int64_t work_limit_ = 0;
  Clock::time_point deadline_{};
  const std::atomic<bool>* stop_ = nullptr;
  std::int64_t step_count_ = 0;
  std::int64_t next_look_ = 0;
  bool is_spent_ = false;
};

}  // namespace stint
