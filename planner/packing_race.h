// Searches for a packing below a height, with several orders side by side: which order meets the
// lucky start differs from one set of blocks to the next, by factors of a thousand.
//
// Each order searches a little and begins again (as long as Luby's sequence says), with what it
// learned. A round is one such run of each order. Of those that succeed in a round the first in the
// list wins, whoever was quicker on the clock: the result does not depend on the number of threads.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <vector>

#include "planner/exact_packing.h"

namespace stint {

struct RaceLimits {
  std::int64_t step_limit = 0;  // Of all orders together, looked at after each round.
  std::chrono::steady_clock::time_point deadline{};
  const std::atomic<bool>* stop = nullptr;  // May be null.
  std::int32_t thread_count = 1;            //
};

struct RaceResult {
  PackingAnswer answer = PackingAnswer::kUnknown;
  std::vector<std::int64_t> offsets{};  // By block, if found.
  std::int64_t step_count = 0;          //
};

/// Deterministic unless `deadline` or `stop` ends it.
RaceResult RacePacking(const PackingSections& sections, std::int64_t height_bytes,
                       const RaceLimits& limits);

/// 1 1 2 1 1 2 4 1 1 2 ...; `index` >= 0.
std::int64_t LubyNumber(std::int64_t index);

}  // namespace stint
