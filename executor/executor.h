// Runs a plan on its device, in one arena at the planned addresses, and measures what happens.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "dispatch/device_runtime.h"
#include "executor/snapshot.h"
#include "ir/plan.h"
#include "ir/profile.h"
#include "ir/report.h"

namespace stint {

/// Gives the value a persistent buffer has before the first iteration: fills `value`, a CPU tensor
/// of the buffer's dtype and sizes.
using LoadValue = std::function<void(const Buffer& buffer, const torch::Tensor& value)>;

/// Sees a result of the first iteration as a CPU tensor: each gradient when it is final, each
/// output, and each persistent buffer that the program writes.
using OnResult = std::function<void(const Buffer& buffer, const torch::Tensor& value)>;

struct ExecuteOptions {
  std::int64_t iteration_count = 5;  // Timed ones, after one that is not. 0: only that first one,
                                     // and it is timed; of graphs it has those of repetitions
                                     // after a body's first, and on_result sees no gradients
                                     // where there are graphs.
  bool use_graph = true;             // Each phase body as one graph, where the device has graphs.
  bool poison = false;  // Fill freed ranges with NaN bytes: finds reads of dead values.
  std::optional<std::uint64_t> jitter_seed{};  // Delay copies, and computes beside them, at
                                               // random: finds waits that are missing.
  OnResult on_result{};                        // May be empty.
  std::function<void(std::int64_t done_count, std::int64_t total_count)>
      on_progress{};  // Instructions.
};

/// Loads, runs and measures `plan`, which must have passed CheckPlan. Copies run beside the
/// compute, each waiting for what the plan implies (copy_waits.h). A request that the plan does not
/// know is served from outside the arena, counted and named; nothing throws inside an op.
/// @throws InputError if profile and plan do not belong together or the device is not the profile's
/// kind.
Report Execute(const Profile& profile, const Plan& plan, DeviceRuntime& runtime,
               const LoadValue& load, const ExecuteOptions& options);

/// A training loop: new inputs for each iteration, its outputs while the next one runs.
struct LoopOptions {
  std::int64_t first_iteration = 0;  // Others have been run before: a loop that goes on.
  std::int64_t iteration_count = 1;
  bool use_graph = true;
  /// Fills an input of an iteration, while the device is at the one before; may be empty, and then
  /// inputs stay what they were.
  std::function<void(std::int64_t iteration, const Buffer& buffer, const torch::Tensor& value)>
      next_input{};
  /// Sees an output of an iteration, when the next one has been issued; may be empty.
  std::function<void(std::int64_t iteration, const Buffer& buffer, const torch::Tensor& value)>
      on_output{};
  /// Whether the loop ends with the iteration that has just been issued; may be empty.
  std::function<bool(std::int64_t iteration)> is_last{};
  /// Whether the state after the iteration that has just been issued is wanted, for which the plan
  /// must have a snapshot; asked after is_last. Whoever says yes has done with the one before. May
  /// be empty.
  std::function<bool(std::int64_t iteration)> wants_state{};
  /// Gets the state as the iteration leaves it, while it is still being copied: Wait for it, then
  /// take as long as it needs, on any thread. on_output has seen the iteration's outputs before.
  std::function<void(std::int64_t iteration, const std::shared_ptr<StateSnapshot>& snapshot)>
      on_state{};
  /// Of a loop that has ended, of the same runtime and of a plan with the same state: its memory
  /// is used again. Loading may still read from it. Null: new memory, if states are wanted.
  std::shared_ptr<StateSnapshot> snapshot{};
};

/// Loads `plan`, which must have passed CheckPlan, and runs it again and again; the host never
/// waits for an iteration that it has just issued, unless its state is wanted. The snapshot
/// outlives the loop as long as it is held, and must not outlive the arguments. Values are CPU
/// tensors. @returns what was measured of memory; its times are 0.
/// @throws InputError as Execute does.
Report RunLoop(const Profile& profile, const Plan& plan, DeviceRuntime& runtime,
               const LoadValue& load, const LoopOptions& options);

}  // namespace stint
