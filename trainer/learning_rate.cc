#include "trainer/learning_rate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <stdexcept>

#include "ir/errors.h"

namespace stint {

ScheduleKind ScheduleKindFromName(const std::string& name) {
  for (const ScheduleKind kind :
       {ScheduleKind::kConstant, ScheduleKind::kCosine, ScheduleKind::kLinear}) {
    if (name == NameOf(kind)) return kind;
  }
  throw InputError("--schedule", fmt::format("is '{}', not constant, cosine or linear", name));
}

const char* NameOf(ScheduleKind kind) {
  switch (kind) {
    case ScheduleKind::kConstant:
      return "constant";
    case ScheduleKind::kCosine:
      return "cosine";
    case ScheduleKind::kLinear:
      return "linear";
  }
  throw std::logic_error("a schedule without a name");
}

double LearningRateAt(const LearningRateSchedule& schedule, std::int64_t step) {
  const auto done = static_cast<double>(step);
  const auto warmup = static_cast<double>(schedule.warmup_step_count);
  if (done < warmup) return schedule.peak * done / warmup;
  const double rest = std::max(static_cast<double>(schedule.step_count) - warmup, 1.0);
  const double share = std::min((done - warmup) / rest, 1.0);
  switch (schedule.kind) {
    case ScheduleKind::kConstant:
      return schedule.peak;
    case ScheduleKind::kCosine:
      return schedule.peak * 0.5 * (1 + std::cos(std::numbers::pi * share));
    case ScheduleKind::kLinear:
      return schedule.peak * (1 - share);
  }
  throw std::logic_error("a schedule without a rule");
}

}  // namespace stint
