// Compares a planned run with the unplanned one, bit for bit.
#pragma once

#include <map>
#include <string>

#include "dispatch/program.h"
#include "executor/executor.h"

namespace stint {

/// Results of one iteration by name, flat and on the CPU: what was marked, and the persistent
/// tensors that the program changed. Gradients are called "grad:" + the parameter's name.
using Results = std::map<std::string, torch::Tensor>;

/// Runs `program` once as ordinary LibTorch code with deterministic kernels, without capture or
/// plan.
Results RunUnplanned(const Program& program, DeviceRuntime& runtime, const LoadValue& load);

/// Executes one iteration of `plan` and compares every output, gradient and written persistent
/// buffer with `expected`. The profile must be the deterministic one of the same program.
/// @returns the planned run's report with `verification` set.
Report ExecuteAndVerify(const Profile& profile, const Plan& plan, DeviceRuntime& runtime,
                        const LoadValue& load, const Results& expected, ExecuteOptions options);

}  // namespace stint
