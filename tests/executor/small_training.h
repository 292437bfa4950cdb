// A training step small enough to plan by hand: convolution, SiLU, linear layer, squared error,
// AdamW for each parameter.
#pragma once

#include "dispatch/program.h"
#include "executor/executor.h"

namespace stint {

/// `repeat_count` steps as one repeated phase. Results: "loss" (of a single step), a gradient for
/// each weight, updated weights and moments.
Program SmallTraining(std::int64_t repeat_count = 1);

/// Numbers that depend on the buffer's name only.
LoadValue NamedValues();

/// The deterministic profile of `program` on `runtime`.
Profile CaptureOn(const Program& program, DeviceRuntime& runtime);

/// The buffer called `name` that has `role`.
BufferId FindBuffer(const Profile& profile, const std::string& name, BufferRole role);

/// The first op called `name`.
OpId FindOp(const Profile& profile, const std::string& name);

}  // namespace stint
