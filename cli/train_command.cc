// stint train: a model and a folder of pictures -> a model that has seen them, by way of a profile
// and a plan.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "cli/artifacts.h"
#include "cli/budget.h"
#include "cli/commands.h"
#include "cli/generation_request.h"
#include "cli/interrupt.h"
#include "cli/plan_cache.h"
#include "cli/prepare.h"
#include "cli/progress.h"
#include "cli/train_flags.h"
#include "cli/validation.h"
#include "files/picture_folder.h"
#include "ir/errors.h"
#include "ir/file.h"
#include "ir/units.h"
#include "models/checkpoint_weights.h"
#include "models/model_files.h"
#include "trainer/buckets.h"
#include "trainer/encoded_pictures.h"
#include "trainer/run_folder.h"
#include "trainer/step_inputs.h"
#include "trainer/train.h"

namespace stint {
namespace {

constexpr double kFullLearningRate = 1e-5;
constexpr double kLoraLearningRate = 1e-4;
constexpr std::int64_t kBucketStepPx = 64;  // If the model does not need more.
constexpr std::int64_t kUpdateGroupBytes = std::int64_t{16} << 20;

/// Of --size; what pictures are cut to without buckets.
ImageSize SizeOf(const TrainFlags& flags, const ModelFiles& model) {
  return flags.size.empty() ? DefaultSize(model) : ParseSize(flags.size);
}

/// Completed; `device` is in use.
Workload TrainingWorkload(const TrainFlags& flags, const ImageSize& size, const ModelFiles& model,
                          const PipelineConfig& config, torch::Device device) {
  const bool is_velocity = config.scheduler.prediction == Prediction::kVelocity;
  const Workload workload = {
      .model = model.name,
      .config_json = nlohmann::json::parse(model.config_json).at("unet").dump(),
      .task = flags.lora_rank > 0 ? "train-lora" : "train",
      .dtype = flags.dtype,
      .prediction = is_velocity ? "v_prediction" : "",
      .batch_count = flags.batch_count,
      .height_px = size.height_px,
      .width_px = size.width_px,
      .micro_step_count = flags.accumulate_count,
      .lora_rank = flags.lora_rank,
      .layout = "",
      .update_group_bytes = kUpdateGroupBytes,
      .clip_norm = flags.clip_norm,
      .autocast = flags.autocast,
      .rounding = !flags.rounding.empty()     ? flags.rounding
                  : flags.dtype == "bfloat16" ? "stochastic"
                                              : "nearest",
      .has_ema = flags.ema_decay.has_value()};
  try {
    return CompleteWorkload(ChooseKernels(workload, device));
  } catch (const InputError& error) {
    if (error.where() == "--height") throw InputError("--size", "the height " + error.fact());
    if (error.where() == "--width") throw InputError("--size", "the width " + error.fact());
    if (error.where() == "--micro-steps") throw InputError("--accumulate", error.fact());
    if (error.where() == "--lora-rank") throw InputError("--lora", error.fact());
    throw;
  }
}

/// What pictures may be cut to.
std::vector<ImageSize> SizesOf(const TrainFlags& flags, const ImageSize& size,
                               const PipelineConfig& config) {
  if (!flags.has_aspect_buckets) return {size};
  // Both are powers of two.
  const std::int64_t step_px =
      std::max(kBucketStepPx, config.vae.PxPerLatent() * config.unet.LatentMultiple());
  std::vector<ImageSize> sizes = MakeBuckets(size, step_px);
  if (sizes.empty()) {
    throw InputError("--size", fmt::format("is {}, less than one bucket of {}x{}", NameOf(size),
                                           step_px, step_px));
  }
  return sizes;
}

/// What a run that goes on must be told again: all that decides what a step reads and trains. The
/// budget, the learning rate and how often is saved may change.
StateWords RunWords(const TrainFlags& flags, const Workload& workload, const std::string& model,
                    const EncodedPictures& pictures) {
  StateWords words = {{"model", model},
                      {"task", workload.task},
                      {"LoRA rank", workload.lora_rank},
                      {"dtype", workload.dtype},
                      {"autocast", workload.autocast},
                      {"rounding", workload.rounding},
                      {"EMA", std::string(workload.has_ema ? "yes" : "no")},
                      {"size", NameOf({workload.width_px, workload.height_px})},
                      {"batch", workload.batch_count},
                      {"accumulate", workload.micro_step_count},
                      {"seed", flags.seed},
                      {"pictures and captions", pictures.sha256}};
  if (flags.has_aspect_buckets) {
    std::vector<std::string> names;
    for (const ImageSize& size : pictures.sizes) names.push_back(NameOf(size));
    words[kAspectBuckets] = fmt::format("{}", fmt::join(names, " "));
  }
  return words;
}

LearningRateSchedule ScheduleOf(const TrainFlags& flags) {
  if (flags.warmup_step_count > flags.step_count) {
    throw InputError("--warmup", fmt::format("is {}, but there are {} steps",
                                             flags.warmup_step_count, flags.step_count));
  }
  return {.kind = ScheduleKindFromName(flags.schedule),
          .peak = flags.learning_rate.value_or(flags.lora_rank > 0 ? kLoraLearningRate
                                                                   : kFullLearningRate),
          .warmup_step_count = flags.warmup_step_count,
          .step_count = flags.step_count};
}

BadPicture BadPictureOf(const TrainFlags& flags) {
  return flags.skips_bad_pictures ? BadPicture::kSkip : BadPicture::kRefuse;
}

void SaySkipped(const std::vector<std::string>& lines) {
  for (const std::string& line : lines) fmt::print(stderr, "stint: skipped {}\n", line);
}

EncodedPictures Encode(const TrainFlags& flags, const PictureFolder& folder, EncodeRequest request,
                       const ScopedInterrupt& interrupt) {
  request.cache = flags.data_cache;
  if (flags.data_cache.empty()) request.cache = std::filesystem::path(flags.output) / "cache";
  request.bad_picture = BadPictureOf(flags);
  Progress progress("encoding", "files");
  request.on_progress = [&](const std::string& what, std::size_t done_count,
                            std::size_t total_count) {
    if (interrupt.was_pressed()) throw std::runtime_error("interrupted before the first step");
    progress.Update(static_cast<std::int64_t>(done_count), static_cast<std::int64_t>(total_count),
                    what);
  };
  return EncodePictures(folder, request);
}

/// Settings of a validation's pictures.
GenerateFlags PictureFlags(const TrainFlags& flags) {
  return {.model = flags.model,
          .variant = flags.variant,
          .guidance_scale = flags.validation_guidance,
          .size = flags.size,
          .step_count = flags.validation_step_count,
          .seed = static_cast<std::uint64_t>(flags.seed),
          .dtype = flags.dtype == "bfloat16" ? flags.dtype : "",
          .prepare = flags.prepare};
}

ExitCode SayNo(const std::string& what, const Prepared& prepared) {
  fmt::print(stderr, "stint: {}{}\n", what, DescribeNo(prepared.plan_request, prepared.answer));
  return ExitCodeOf(prepared.answer);
}

nlohmann::ordered_json DescribeBuckets(std::span<const SizedPlan> plans,
                                       const std::vector<Report>& measured) {
  nlohmann::ordered_json buckets = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < plans.size(); ++i) {
    buckets.push_back({{"size", plans[i].size},
                       {"step_count", measured[i].iteration_count},
                       {"predicted_peak_bytes", plans[i].plan.peak_bytes},
                       {"measured_peak_bytes", measured[i].peak_bytes},
                       {"predicted_arena_bytes", plans[i].plan.arena_bytes},
                       {"measured_arena_bytes", measured[i].arena_bytes}});
  }
  return buckets;
}

/// Of several plans, tells of the one that took the largest arena.
void SayOutcome(const TrainFlags& flags, const TrainOutcome& outcome, const StepMetrics& last,
                std::span<const SizedPlan> plans) {
  const auto largest = std::ranges::max_element(outcome.measured, {}, &Report::arena_bytes);
  const Plan& plan = plans[static_cast<std::size_t>(largest - outcome.measured.begin())].plan;
  const std::int64_t process_bytes =
      std::ranges::max(outcome.measured, {}, &Report::process_bytes).process_bytes;
  if (flags.is_json) {
    nlohmann::ordered_json summary = {{"step_count", outcome.step_count},
                                      {"is_finished", outcome.is_finished},
                                      {"loss", last.loss},
                                      {"steps_per_s", last.steps_per_s},
                                      {"budget_bytes", plan.budget_bytes},
                                      {"predicted_peak_bytes", plan.peak_bytes},
                                      {"measured_peak_bytes", largest->peak_bytes},
                                      {"predicted_arena_bytes", plan.arena_bytes},
                                      {"measured_arena_bytes", largest->arena_bytes},
                                      {"process_bytes", process_bytes},
                                      {"host_bytes", plan.host_bytes},
                                      {"snapshot_bytes", plan.snapshot_bytes}};
    if (flags.has_aspect_buckets) summary["buckets"] = DescribeBuckets(plans, outcome.measured);
    fmt::print("{}\n", summary.dump(2));
    return;
  }
  fmt::print(stderr, "{}: {} of {} steps, loss {:.4f}, {:.3g} steps/s, peak {}, predicted {}\n",
             flags.output, outcome.step_count, flags.step_count, last.loss, last.steps_per_s,
             ExactBytes(largest->peak_bytes), ExactBytes(plan.peak_bytes));
  if (!outcome.is_finished) {
    fmt::print(stderr, "stopped; the state is saved: go on with --resume latest\n");
  }
}

ExitCode RunTrainCommand(const TrainFlags& flags) {
  // A file that the system lets grow no more is an error of the write, not the end of the process.
  std::signal(SIGXFSZ, SIG_IGN);
  const std::optional<std::int64_t> budget_bytes = BudgetBytesOf(flags.prepare);
  const std::int64_t host_budget_bytes = ParseHostBudget(flags.host_budget);
  const LearningRateSchedule schedule = ScheduleOf(flags);
  const PictureFolder folder = ScanPictures(flags.data, BadPictureOf(flags));
  SaySkipped(folder.skipped);
  ModelFiles model = OpenModel({.path = flags.model, .variant = flags.variant});
  const PipelineConfig config = PipelineConfigFromJson(model.config_json, flags.model);
  const Fingerprints fingerprints = FingerprintsOf(model.checkpoint);
  const std::unique_ptr<ValueSource> weights =
      MakeCheckpointWeights(std::move(model.checkpoint), flags.model, config, {});

  std::optional<ResumedState> resumed;
  if (flags.resume.empty()) {
    BeginRun(flags.output);
  } else {
    resumed = FindState(flags.output, flags.resume);
    if (!resumed->note.empty()) fmt::print(stderr, "stint: {}\n", resumed->note);
    if (resumed->loaded.state.step >= flags.step_count) {
      throw InputError("--steps", fmt::format("is {}, and {} are done", flags.step_count,
                                              resumed->loaded.state.step));
    }
  }

  const ScopedInterrupt interrupt;
  const std::unique_ptr<DeviceRuntime> runtime = MakeDeviceRuntime(flags.prepare.device);
  const torch::Device device(flags.prepare.device);
  const ImageSize size = SizeOf(flags, model);
  // With buckets, its size is only the area that they may have.
  const Workload workload = TrainingWorkload(flags, size, model, config, device);
  const EncodedPictures pictures = Encode(flags, folder,
                                          {.config = config,
                                           .tokenizers = model.tokenizers,
                                           .fingerprints = fingerprints,
                                           .weights = *weights,
                                           .device = device,
                                           .sizes = SizesOf(flags, size, config)},
                                          interrupt);
  SaySkipped(pictures.skipped);
  const StateWords run =
      RunWords(flags, workload, Sha256(model.config_json + fingerprints.at("unet")), pictures);
  if (resumed) CheckSameRun(resumed->loaded.state.run, run, resumed->path.string());

  const PlanCache cache = CacheOf(flags.prepare);
  std::vector<Prepared> prepared;  // By bucket.
  for (const ImageSize& bucket : pictures.sizes) {
    prepared.push_back(Prepare({.workload = TrainingWorkload(flags, bucket, model, config, device),
                                .is_deterministic = flags.prepare.is_deterministic,
                                .budget_bytes = budget_bytes,
                                .has_snapshot = true,
                                .host_budget_bytes = host_budget_bytes,
                                .time_limit_s = flags.prepare.plan_time_s},
                               cache, *runtime));
    if (prepared.back().answer.plan) continue;
    return SayNo(flags.has_aspect_buckets ? fmt::format("bucket {}: ", NameOf(bucket)) : "",
                 prepared.back());
  }
  std::optional<Validation> validation;
  if (!flags.validation_prompts.empty()) {
    validation.emplace(
        ValidationRequest{.prompts = flags.validation_prompts,
                          .flags = PictureFlags(flags),
                          .model = model,
                          .weights = *weights,
                          .trained = workload,
                          .budget_bytes = budget_bytes,
                          .run_folder = flags.output,
                          .should_stop = [&] { return interrupt.was_pressed().load(); }},
        cache, *runtime);
    if (!validation->prepared().answer.plan) {
      return SayNo("--validation-prompt: ", validation->prepared());
    }
  }
  if (interrupt.was_pressed()) throw std::runtime_error("interrupted before the first step");

  std::vector<SizedPlan> plans;
  for (std::size_t i = 0; i < prepared.size(); ++i) {
    plans.push_back({.profile = prepared[i].profile,
                     .plan = *prepared[i].answer.plan,
                     .size = flags.has_aspect_buckets ? NameOf(pictures.sizes[i]) : ""});
  }
  StepInputs inputs(config, pictures,
                    {.seed = static_cast<std::uint64_t>(flags.seed),
                     .samples_per_step = flags.batch_count * flags.accumulate_count,
                     .min_snr_gamma = flags.min_snr_gamma,
                     .schedule = schedule,
                     .ema_decay = flags.ema_decay.value_or(0)});
  StepMetrics last;
  TrainOutcome outcome;
  {
    Progress progress("training", "steps");
    const auto on_step = [&](const StepMetrics& metrics) {
      last = metrics;
      progress.Update(
          metrics.step, flags.step_count,
          fmt::format("loss {:.4f}  peak {}", metrics.loss, FormatBytes(metrics.peak_bytes)));
    };
    outcome = Train(
        plans, *runtime, *weights, inputs, resumed ? &*resumed : nullptr,
        {.step_count = flags.step_count,
         .steps_per_checkpoint = flags.steps_per_checkpoint,
         .keep_count = flags.keep_count,
         .seed = static_cast<std::uint64_t>(flags.seed),
         .schedule = schedule,
         .has_tensorboard = flags.has_tensorboard,
         .run = run,
         .output = flags.output,
         .should_stop = [&] { return interrupt.was_pressed().load(); },
         .on_step = on_step,
         .on_save_failed =
             [](const std::string& why) {
               fmt::print(stderr, "stint: not saved, trying again next time: {}\n", why);
             },
         .steps_per_pause = validation ? flags.steps_per_validation : 0,
         .on_pause = [&](std::int64_t step_count,
                         const StateTensors& state) { validation->Paint(step_count, state); }});
  }
  SayOutcome(flags, outcome, last, plans);
  return ExitCode::kDone;
}

}  // namespace

void AddTrainCommand(CLI::App& app, ExitCode& exit_code) {
  const auto flags = std::make_shared<TrainFlags>();
  CLI::App* command = app.add_subcommand("train", "Fine-tune a model on pictures within a budget");
  AddTrainFlags(*command, *flags);
  command->callback([flags, &exit_code] { exit_code = RunTrainCommand(*flags); });
}

}  // namespace stint
