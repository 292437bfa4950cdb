#include "planner/packing_race.h"

#include <algorithm>
#include <array>
#include <bit>
#include <exception>
#include <memory>
#include <system_error>
#include <thread>

namespace stint {
namespace {

// The first solves most sets of blocks at once; the others what it does not.
constexpr std::array kOrders = {PackingOrder::kSize, PackingOrder::kLength, PackingOrder::kLoadArea,
                                PackingOrder::kLoadLength};
constexpr std::int32_t kNoWinner = static_cast<std::int32_t>(kOrders.size());

// A first run gets so many nodes and one for each block.
constexpr std::int64_t kBaseNodes = 500;

class Race {
 public:
  Race(const PackingSections& sections, std::int64_t height_bytes, const RaceLimits& limits)
      : limits_(limits), thread_count_(std::min(limits.thread_count, kNoWinner)) {
    for (const PackingOrder order : kOrders) {
      runners_.push_back(std::make_unique<PackingSearch>(sections, height_bytes, order));
    }
  }

  /// Each order searches through `node_limit` nodes, as long as it can still win.
  void RunRound(std::int64_t node_limit) {
    next_ = 0;
    for (std::size_t i = 0; i < runners_.size(); ++i) {
      steps_before_round_[i] = runners_[i]->step_count();
    }
    std::vector<std::jthread> threads{};
    try {
      for (std::int32_t i = 1; i < thread_count_; ++i) {
        threads.emplace_back([this, node_limit] { Work(node_limit); });
      }
    } catch (const std::system_error&) {
      // No more to be had: those that run do the work, in later rounds, too.
      thread_count_ = static_cast<std::int32_t>(threads.size()) + 1;
    }
    Work(node_limit);
    threads.clear();  // Joins them.
    if (failure_) {
      std::rethrow_exception(failure_);
    }
  }

  /// Of the first order with an answer; it found a packing or proved that there is none.
  bool HasWinner() const { return winner_ != kNoWinner; }
  PackingAnswer answer() const { return answers_[static_cast<std::size_t>(winner_.load())]; }
  const PackingSearch& winner() const { return *runners_[static_cast<std::size_t>(winner_)]; }

  /// Without what those did in the last round that could not win any more: that depends on the
  /// clock.
  std::int64_t StepCount() const {
    std::int64_t step_count = 0;
    for (std::size_t i = 0; i < runners_.size(); ++i) {
      const bool counts = static_cast<std::int32_t>(i) <= winner_;
      step_count += counts ? runners_[i]->step_count() : steps_before_round_[i];
    }
    return step_count;
  }

 private:
  void Work(std::int64_t node_limit) {
    try {
      for (std::int32_t i = next_++; i < kNoWinner; i = next_++) {
        if (i > winner_) {
          return;
        }
        const auto place = static_cast<std::size_t>(i);
        answers_[place] = runners_[place]->Run({.node_limit = node_limit,
                                                .deadline = limits_.deadline,
                                                .stop = limits_.stop,
                                                .is_lost = &is_lost_[place]});
        if (answers_[place] != PackingAnswer::kUnknown) {
          Win(i);
        }
      }
    } catch (...) {  // Out of memory: not beyond this thread.
      if (!has_failed_.exchange(true)) {
        failure_ = std::current_exception();
      }
    }
  }

  /// Those after `place` in the list cannot win any more.
  void Win(std::int32_t place) {
    std::int32_t winner = winner_;
    while (place < winner && !winner_.compare_exchange_weak(winner, place)) {
    }
    for (std::size_t i = static_cast<std::size_t>(place) + 1; i < is_lost_.size(); ++i) {
      is_lost_[i] = true;
    }
  }

  const RaceLimits& limits_;
  std::int32_t thread_count_ = 1;
  std::vector<std::unique_ptr<PackingSearch>> runners_{};
  std::array<PackingAnswer, kOrders.size()> answers_{};
  std::array<std::int64_t, kOrders.size()> steps_before_round_{};
  std::array<std::atomic<bool>, kOrders.size()> is_lost_{};
  std::atomic<std::int32_t> next_{0};
  std::atomic<std::int32_t> winner_{kNoWinner};
  std::atomic<bool> has_failed_{false};
  std::exception_ptr failure_{};  // Of the thread that set has_failed_; read after all have joined.
};

}  // namespace

std::int64_t LubyNumber(std::int64_t index) {
  auto place = static_cast<std::uint64_t>(index) + 1;
  while (!std::has_single_bit(place + 1)) {
    place -= std::bit_floor(place + 1) - 1;
  }
  return static_cast<std::int64_t>((place + 1) / 2);
}

RaceResult RacePacking(const PackingSections& sections, std::int64_t height_bytes,
                       const RaceLimits& limits) {
  Race race(sections, height_bytes, limits);
  const std::int64_t base_nodes = kBaseNodes + static_cast<std::int64_t>(sections.blocks.size());
  RaceResult result{};
  for (std::int64_t round = 0; result.step_count < limits.step_limit; ++round) {
    race.RunRound(base_nodes * LubyNumber(round));
    result.step_count = race.StepCount();
    if (race.HasWinner()) {
      result.answer = race.answer();
      if (result.answer == PackingAnswer::kFound) {
        result.offsets = race.winner().offsets();
      }
      return result;
    }
    if (std::chrono::steady_clock::now() >= limits.deadline ||
        (limits.stop != nullptr && limits.stop->load())) {
      return result;
    }
  }
  return result;
}

}  // namespace stint
