// The loop of a training run: a plan, again and again, with new samples each time; its state saved
// every so many steps from the plan's snapshot, in the background; a line of metrics for each
// step. Where pictures have several sizes, there is a plan for each; the run leaves the device
// between two plans, and its state waits in the snapshot:
//
//     plan of   128x256          192x192                  128x256
//     steps     0 1 2 | snapshot | 3 4 | 5 | snapshot     | 6 7 8 ...
//                                      pause: pictures
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "dispatch/device_runtime.h"
#include "executor/executor.h"
#include "files/training_state.h"
#include "ir/plan.h"
#include "ir/profile.h"
#include "ir/report.h"
#include "models/workload.h"
#include "trainer/run_folder.h"
#include "trainer/state.h"
#include "trainer/step_inputs.h"

namespace stint {

/// How steps of one size are run.
struct SizedPlan {
  const Profile& profile;
  const Plan& plan;    // It has a snapshot.
  std::string size{};  // For metrics; empty: not told.
};

struct TrainOptions {
  std::int64_t step_count = 0;            // Of the whole run, with those of before it was resumed.
  std::int64_t steps_per_checkpoint = 0;  // 0: only the last step's state is saved.
  std::int64_t keep_count = 1;            // States that are kept.
  std::uint64_t seed = 0;
  LearningRateSchedule schedule{};
  bool has_tensorboard = false;    // An event file of the step's numbers, beside metrics.jsonl.
  StateWords run{};                // What a run that goes on must be told again.
  std::filesystem::path output{};  // The run's folder.
  std::function<bool()> should_stop{};                // Asked after each step; may be empty.
  std::function<void(const StepMetrics&)> on_step{};  // May be empty.
  std::function<void(const std::string& why)> on_save_failed{};  // The run goes on; may be empty.
  std::int64_t steps_per_pause = 0;                              // 0: never.
  /// After each so many steps, with the state as they left it: the run has left the device then,
  /// and begins again from that state, to the same bits. May be empty.
  std::function<void(std::int64_t step_count, const StateTensors& state)> on_pause{};
};

struct TrainOutcome {
  std::int64_t step_count = 0;     // Done.
  bool is_finished = false;        // And written as files for others; else it was stopped.
  std::vector<Report> measured{};  // Of memory, by plan; iteration_count 0: it did not run.
};

/// `plans` has one for each bucket of the inputs; all train the same weights. Goes on from
/// `resumed`, whose file is `where`, or from the base's weights. Leaves the state of the last step
/// as the newest of the folder. A state that cannot be saved is told, and the run goes on to try
/// again next time.
/// @throws InputError naming the file if the last state cannot be saved, or `resumed` is not of
/// this model; as RunLoop does.
TrainOutcome Train(std::span<const SizedPlan> plans, DeviceRuntime& runtime,
                   const ValueSource& base, StepInputs& inputs, const ResumedState* resumed,
                   const TrainOptions& options);

}  // namespace stint
