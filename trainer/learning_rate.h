// The learning rate of each step. The rules and the counting are those of diffusers' schedulers. No
// LibTorch.
#pragma once

#include <cstdint>
#include <string>

namespace stint {

enum class ScheduleKind : std::uint8_t {
  kConstant,
  kCosine,  // Half a wave, from the peak down to 0.
  kLinear,  // A straight line down to 0.
};

/// "constant", "cosine" or "linear".
/// @throws InputError naming `--schedule` for any other word.
ScheduleKind ScheduleKindFromName(const std::string& name);
const char* NameOf(ScheduleKind kind);

struct LearningRateSchedule {
  ScheduleKind kind{};
  double peak = 0;                     // After the warm-up.
  std::int64_t warmup_step_count = 0;  // Straight up from 0, which the first step has.
  std::int64_t step_count = 0;         // Of the whole run: where the way down ends.
};

/// Of step `step`, counted from 0.
double LearningRateAt(const LearningRateSchedule& schedule, std::int64_t step);

}  // namespace stint
