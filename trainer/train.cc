#include "trainer/train.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include "executor/snapshot.h"
#include "files/checkpoint_folder.h"
#include "files/tensorboard.h"
#include "ir/errors.h"
#include "models/training_step.h"
#include "trainer/state.h"

namespace stint {
namespace {

void AppendTo(TensorBoardFile& file, const StepMetrics& metrics) {
  const std::array<Scalar, 5> scalars = {
      {{.tag = "loss", .value = metrics.loss},
       {.tag = "learning_rate", .value = metrics.learning_rate},
       {.tag = "epoch", .value = static_cast<double>(metrics.epoch)},
       {.tag = "steps_per_s", .value = metrics.steps_per_s},
       {.tag = "peak_bytes", .value = static_cast<double>(metrics.peak_bytes)}}};
  file.Append(metrics.step, scalars);
}

/// What RunLoop asks and tells, and what follows from it.
class Loop {
 public:
  Loop(std::span<const SizedPlan> plans, StepInputs& inputs, std::int64_t first_step,
       const TrainOptions& options)
      : plans_(plans),
        inputs_(inputs),
        options_(options),
        trained_(TrainedNames(plans.front().profile.workload)),
        next_step_(first_step),
        metrics_(options.output, first_step),
        measured_(plans.size()) {
    if (options.has_tensorboard) tensorboard_.emplace(options.output, first_step + 1);
  }

  /// The plan of the next loop.
  const SizedPlan& plan() const { return plans_[bucket_]; }

  /// Begins a loop up to the end, a pause or a step of another size. Iteration i is step i, counted
  /// from 0.
  LoopOptions Begin() {
    bucket_ = inputs_.BucketOf(next_step_);
    last_time_.reset();
    return {.first_iteration = next_step_,
            .iteration_count = options_.step_count - next_step_,
            .next_input =
                [this](std::int64_t step, const Buffer& buffer, const torch::Tensor& value) {
                  // Of a loop of few steps, all may be told at its end.
                  if (plans_.size() > 1 && !last_time_) last_time_ = Clock::now();
                  inputs_.Fill(step, buffer, value);
                },
            .on_output =
                [this](std::int64_t step, const Buffer& buffer, const torch::Tensor& value) {
                  if (buffer.name == "loss") Tell(step, value.item<double>());
                },
            .is_last = [this](std::int64_t step) { return IsLast(step) || IsLeft(step); },
            .wants_state = [this](std::int64_t step) { return WantsState(step); },
            .on_state =
                [this](std::int64_t step, const std::shared_ptr<StateSnapshot>& snapshot) {
                  snapshot_ = snapshot;
                  Save(step + 1);
                },
            .snapshot = snapshot_};
  }

  /// After each loop. Whether another one follows.
  bool End(Report measured) {
    Note(std::move(measured));
    const bool is_stopped = is_last_ && taken_steps_ < options_.step_count;
    if (is_stopped) return false;
    if (is_last_) {
      saver_.Wait();  // Throws what the last save threw.
    } else {
      WaitForSave();
    }
    if (IsPause(taken_steps_ - 1)) options_.on_pause(taken_steps_, state_);
    next_step_ = taken_steps_;
    return !is_last_;
  }

  /// What the next loop starts from. It lies in the snapshot.
  TrainingState Resumed() const {
    TrainingState state = {.step = taken_steps_};
    SetTensors(state_, trained_, state);
    return state;
  }

  /// After the loop: the last state, and the files for others if the run is at its end.
  TrainOutcome Finish() {
    saver_.Wait();  // Throws what the last save threw.
    TrainOutcome outcome = {.step_count = taken_steps_,
                            .is_finished = taken_steps_ == options_.step_count,
                            .measured = std::move(measured_)};
    if (outcome.is_finished) Export(state_, plan().profile.workload, options_.output / "final");
    return outcome;
  }

 private:
  using Clock = std::chrono::steady_clock;

  bool IsLast(std::int64_t step) {
    is_last_ = step + 1 == options_.step_count || (options_.should_stop && options_.should_stop());
    return is_last_;
  }

  bool IsPause(std::int64_t step) const {
    return options_.on_pause && options_.steps_per_pause > 0 &&
           (step + 1) % options_.steps_per_pause == 0;
  }

  /// Whether the run leaves the device after it, to come back.
  bool IsLeft(std::int64_t step) {
    if (IsPause(step)) return true;
    return plans_.size() > 1 && step + 1 < options_.step_count &&
           inputs_.BucketOf(step + 1) != bucket_;
  }

  /// A plan's highest numbers, of all its loops.
  void Note(Report measured) {
    Report& highest = measured_[bucket_];
    measured.peak_bytes = std::max(measured.peak_bytes, highest.peak_bytes);
    measured.arena_bytes = std::max(measured.arena_bytes, highest.arena_bytes);
    measured.process_bytes = std::max(measured.process_bytes, highest.process_bytes);
    measured.iteration_count += highest.iteration_count;
    highest = std::move(measured);
  }

  bool WantsState(std::int64_t step) {
    const bool is_due =
        options_.steps_per_checkpoint > 0 && (step + 1) % options_.steps_per_checkpoint == 0;
    is_saved_ = is_due || is_last_;
    if (!is_saved_ && !IsLeft(step)) return false;
    // There is one snapshot: the state in it is on the disk, or will never be.
    const Clock::time_point begin = Clock::now();
    WaitForSave();
    save_wait_s_ = std::chrono::duration<double>(Clock::now() - begin).count();
    return true;
  }

  /// Begins to look at the snapshot, which is still being taken, and to save it if it is to be.
  void Save(std::int64_t step_count) {
    taken_steps_ = step_count;
    TrainingState state = {
        .epoch = inputs_.EpochsIn(step_count),
        .step = step_count,
        .optimizer = {.learning_rate = LearningRateAt(options_.schedule, step_count),
                      .beta1 = kTrainingAdamW.beta1,
                      .beta2 = kTrainingAdamW.beta2,
                      .epsilon = kTrainingAdamW.epsilon,
                      .weight_decay = kTrainingAdamW.weight_decay},
        .scheduler = {{"kind", std::string(NameOf(options_.schedule.kind))},
                      {"peak", options_.schedule.peak},
                      {"warmup_step_count", options_.schedule.warmup_step_count},
                      {"step_count", options_.schedule.step_count}},
        .rng = {{"seed", static_cast<std::int64_t>(options_.seed)}, {"step", step_count}},
        .data_order = {{"seed", static_cast<std::int64_t>(options_.seed)},
                       {"sample", inputs_.SamplesIn(step_count)}},
        .run = options_.run};
    saver_.Start([this, is_saved = is_saved_, state = std::move(state)]() mutable {
      snapshot_->Wait();
      state_ = TakeTensors(plan().profile, *snapshot_);
      if (!is_saved) return;
      SetTensors(state_, trained_, state);
      SaveTrainingState(options_.output, state, options_.keep_count);
    });
  }

  void WaitForSave() {
    try {
      saver_.Wait();
    } catch (const InputError& error) {
      if (options_.on_save_failed) options_.on_save_failed(error.what());
    }
  }

  void Tell(std::int64_t step, double loss) {
    const Clock::time_point now = Clock::now();
    if (last_time_) {
      constexpr double kKept = 0.9;  // Of the mean so far.
      const double step_s = std::chrono::duration<double>(now - *last_time_).count();
      mean_step_s_ = mean_step_s_ == 0 ? step_s : kKept * mean_step_s_ + (1 - kKept) * step_s;
    }
    last_time_ = now;
    const StepMetrics metrics = {.step = step + 1,
                                 .epoch = inputs_.EpochsIn(step + 1),
                                 .loss = loss,
                                 .learning_rate = LearningRateAt(options_.schedule, step),
                                 .steps_per_s = mean_step_s_ == 0 ? 0 : 1 / mean_step_s_,
                                 .peak_bytes = plan().plan.peak_bytes,
                                 .size = plan().size,
                                 .save_wait_s = std::exchange(save_wait_s_, std::nullopt)};
    metrics_.Append(metrics);
    if (tensorboard_) AppendTo(*tensorboard_, metrics);
    if (options_.on_step) options_.on_step(metrics);
  }

  const std::span<const SizedPlan> plans_;
  StepInputs& inputs_;
  const TrainOptions& options_;
  std::vector<std::string> trained_;
  std::int64_t next_step_;  // The first one of the loop.
  std::size_t bucket_ = 0;  // Of all its steps.
  MetricsFile metrics_;
  std::optional<TensorBoardFile> tensorboard_{};
  bool is_last_ = false;
  bool is_saved_ = false;  // What the snapshot is taken for, besides a pause.
  std::shared_ptr<StateSnapshot> snapshot_{};
  StateTensors state_{};                 // In the snapshot; the saver's until it has done.
  std::int64_t taken_steps_ = 0;         // Steps that were done then.
  std::vector<Report> measured_;         // By bucket.
  std::optional<double> save_wait_s_{};  // Until the metrics of the step are told.
  std::optional<Clock::time_point> last_time_{};
  double mean_step_s_ = 0;
  BackgroundSaver saver_{};  // Last: nothing it reads goes before it.
};

}  // namespace

TrainOutcome Train(std::span<const SizedPlan> plans, DeviceRuntime& runtime,
                   const ValueSource& base, StepInputs& inputs, const ResumedState* resumed,
                   const TrainOptions& options) {
  const std::int64_t first_step = resumed == nullptr ? 0 : resumed->loaded.state.step;
  Check(first_step < options.step_count, "there are steps to do");
  Loop loop(plans, inputs, first_step, options);
  const auto run = [&](const TrainingState* state, const std::string& where) {
    const LoopOptions loop_options = loop.Begin();
    const auto& [profile, plan, size] = loop.plan();
    const LoadValue load = LoadStart(
        {.base = base, .seed = options.seed, .resumed = state, .where = where}, profile.workload);
    return loop.End(RunLoop(profile, plan, runtime, load, loop_options));
  };
  bool goes_on =
      resumed == nullptr ? run(nullptr, "") : run(&resumed->loaded.state, resumed->path.string());
  while (goes_on) {
    const TrainingState paused = loop.Resumed();
    goes_on = run(&paused, "the state of the pause");
  }
  return loop.Finish();
}

}  // namespace stint
