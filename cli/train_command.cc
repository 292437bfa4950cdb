// stint train: a model and a folder of pictures -> a model that has seen them, by way of a profile
// and a plan.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
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
#include "cli/validation.h"
#include "files/picture_folder.h"
#include "ir/errors.h"
#include "ir/file.h"
#include "ir/units.h"
#include "models/checkpoint_weights.h"
#include "models/model_files.h"
#include "trainer/encoded_pictures.h"
#include "trainer/run_folder.h"
#include "trainer/step_inputs.h"
#include "trainer/train.h"

namespace stint {
namespace {

constexpr char kExamples[] = R"(Examples:
  stint train --model sd15/ --data boats/ --output run/ --lora 8 --steps 1000
  stint train --model sdxl/ --data boats/ --output run/ --lora 16 --size 1024x1024 \
              --dtype bfloat16 --device cuda:0 --budget 12GiB --steps 2000 --checkpoint-every 200
  stint train --model sd15/ --data boats/ --output run/ --batch 4 --accumulate 4 --clip-norm 1 \
              --schedule cosine --warmup 100 --min-snr 5 --steps 5000
  stint train --model sd15/ --data boats/ --output run/ --lora 8 --steps 1000 --resume latest
  stint train --model sd15/ --data boats/ --output run/ --lora 8 --validation-every 100 \
              --validation-prompt "a red boat" --validation-prompt "a boat in fog"

The folder has captions beside the pictures (a.png, a.txt) or in metadata.jsonl. Pictures and
captions are encoded once. A run stopped by Ctrl-C, by SIGTERM or by force goes on with --resume
latest: to the same bits, whatever the budget. With --dtype bfloat16 weights and AdamW's moments are
bfloat16, rounded stochastically; with --rounding nearest, updates smaller than a weight's last bit
are lost. Exit 3: nothing fits the budget.)";

constexpr double kFullLearningRate = 1e-5;
constexpr double kLoraLearningRate = 1e-4;
constexpr std::int64_t kUpdateGroupBytes = std::int64_t{16} << 20;

struct TrainFlags {
  std::string model{};
  std::string variant{};
  std::string data{};
  bool skips_bad_pictures = false;
  std::string output{};
  std::string resume{};
  std::int64_t lora_rank = 0;
  std::string size{};
  std::string dtype = "float32";
  std::string autocast{};
  std::string rounding{};
  std::int64_t step_count = 1000;
  std::int64_t batch_count = 1;
  std::int64_t accumulate_count = 1;
  std::optional<double> learning_rate{};
  std::string schedule = "constant";
  std::int64_t warmup_step_count = 0;
  double clip_norm = 0;
  double min_snr_gamma = 0;
  std::optional<double> ema_decay{};
  std::int64_t seed = 0;
  std::int64_t steps_per_checkpoint = 500;
  std::int64_t keep_count = 3;
  bool has_tensorboard = false;
  std::vector<std::string> validation_prompts{};
  std::int64_t steps_per_validation = 500;
  std::int64_t validation_step_count = 30;
  double validation_guidance = 7.5;
  std::string device = "cpu";
  bool is_deterministic = false;
  std::string budget{};
  std::string host_budget{};
  double plan_time_s = 60;
  std::string cache{};
  bool has_no_cache = false;
  std::string data_cache{};
  bool is_json = false;
};

/// Completed; `device` is in use.
Workload TrainingWorkload(const TrainFlags& flags, const ModelFiles& model,
                          const PipelineConfig& config, torch::Device device) {
  const ImageSize size = flags.size.empty() ? DefaultSize(model) : ParseSize(flags.size);
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

/// What a run that goes on must be told again: all that decides what a step reads and trains. The
/// budget, the learning rate and how often is saved may change.
StateWords RunWords(const TrainFlags& flags, const Workload& workload, const std::string& model,
                    const EncodedPictures& pictures) {
  return {{"model", model},
          {"task", workload.task},
          {"LoRA rank", workload.lora_rank},
          {"dtype", workload.dtype},
          {"autocast", workload.autocast},
          {"rounding", workload.rounding},
          {"EMA", std::string(workload.has_ema ? "yes" : "no")},
          {"size", fmt::format("{}x{}", workload.width_px, workload.height_px)},
          {"batch", workload.batch_count},
          {"accumulate", workload.micro_step_count},
          {"seed", flags.seed},
          {"pictures and captions", pictures.sha256}};
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
          .device = flags.device,
          .dtype = flags.dtype == "bfloat16" ? flags.dtype : "",
          .is_deterministic = flags.is_deterministic,
          .plan_time_s = flags.plan_time_s};
}

ExitCode SayNo(const std::string& what, const Prepared& prepared) {
  fmt::print(stderr, "stint: {}{}\n", what, DescribeNo(prepared.plan_request, prepared.answer));
  return prepared.answer.status == SolveStatus::kInfeasible ? ExitCode::kInfeasible
                                                            : ExitCode::kUnknown;
}

void SayOutcome(const TrainFlags& flags, const TrainOutcome& outcome, const StepMetrics& last,
                const Plan& plan) {
  if (flags.is_json) {
    const nlohmann::ordered_json summary = {{"step_count", outcome.step_count},
                                            {"is_finished", outcome.is_finished},
                                            {"loss", last.loss},
                                            {"steps_per_s", last.steps_per_s},
                                            {"budget_bytes", plan.budget_bytes},
                                            {"predicted_peak_bytes", plan.peak_bytes},
                                            {"measured_peak_bytes", outcome.measured.peak_bytes},
                                            {"predicted_arena_bytes", plan.arena_bytes},
                                            {"measured_arena_bytes", outcome.measured.arena_bytes},
                                            {"process_bytes", outcome.measured.process_bytes},
                                            {"host_bytes", plan.host_bytes},
                                            {"snapshot_bytes", plan.snapshot_bytes}};
    fmt::print("{}\n", summary.dump(2));
    return;
  }
  fmt::print(stderr, "{}: {} of {} steps, loss {:.4f}, {:.3g} steps/s, peak {}, predicted {}\n",
             flags.output, outcome.step_count, flags.step_count, last.loss, last.steps_per_s,
             ExactBytes(outcome.measured.peak_bytes), ExactBytes(plan.peak_bytes));
  if (!outcome.is_finished) {
    fmt::print(stderr, "stopped; the state is saved: go on with --resume latest\n");
  }
}

ExitCode RunTrainCommand(const TrainFlags& flags) {
  // A file that the system lets grow no more is an error of the write, not the end of the process.
  std::signal(SIGXFSZ, SIG_IGN);
  std::optional<std::int64_t> budget_bytes;
  if (!flags.budget.empty()) budget_bytes = ParseBytes(flags.budget, "--budget");
  if (budget_bytes == 0) throw InputError("--budget", "is zero");
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
  const std::unique_ptr<DeviceRuntime> runtime = MakeDeviceRuntime(flags.device);
  const torch::Device device(flags.device);
  const Workload workload = TrainingWorkload(flags, model, config, device);
  const EncodedPictures pictures =
      Encode(flags, folder,
             {.config = config,
              .tokenizers = model.tokenizers,
              .fingerprints = fingerprints,
              .weights = *weights,
              .device = device,
              .size = {.width_px = workload.width_px, .height_px = workload.height_px}},
             interrupt);
  SaySkipped(pictures.skipped);
  const StateWords run =
      RunWords(flags, workload, Sha256(model.config_json + fingerprints.at("unet")), pictures);
  if (resumed) CheckSameRun(resumed->loaded.state.run, run, resumed->path.string());

  std::optional<std::filesystem::path> cache_folder;
  if (!flags.has_no_cache) {
    cache_folder = flags.cache.empty() ? DefaultCacheFolder() : std::filesystem::path(flags.cache);
  }
  const PlanCache cache(cache_folder);
  const Prepared prepared = Prepare({.workload = workload,
                                     .is_deterministic = flags.is_deterministic,
                                     .budget_bytes = budget_bytes,
                                     .has_snapshot = true,
                                     .host_budget_bytes = host_budget_bytes,
                                     .time_limit_s = flags.plan_time_s},
                                    cache, *runtime);
  if (!prepared.answer.plan) return SayNo("", prepared);
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

  const Plan& plan = *prepared.answer.plan;
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
        prepared.profile, plan, *runtime, *weights, inputs, resumed ? &*resumed : nullptr,
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
  SayOutcome(flags, outcome, last, plan);
  return ExitCode::kDone;
}

void AddDataFlags(CLI::App& command, TrainFlags& flags) {
  command.add_option("--model", flags.model, "Diffusers folder")->required()->type_name("FOLDER");
  command.add_option("--variant", flags.variant, "Prefer model.VARIANT.safetensors")
      ->type_name("WORD");
  command.add_option("--data", flags.data, "PNG and JPEG pictures with captions")
      ->required()
      ->type_name("FOLDER");
  command.add_flag("--skip-bad-pictures", flags.skips_bad_pictures,
                   "Leave out pictures that are damaged or have no caption, and name them");
  command
      .add_option("--data-cache", flags.data_cache,
                  "Where latents and text states are kept, for other runs, too (default: cache/ in "
                  "the output folder)")
      ->type_name("FOLDER");
  command
      .add_option("--output", flags.output,
                  "Of the run: checkpoint.pth, metrics.jsonl, and final/ at the end")
      ->required()
      ->type_name("FOLDER");
  command
      .add_option("--resume", flags.resume,
                  "Go on from the newest state of the output folder, or from a file")
      ->type_name("latest|FILE");
}

void AddTrainingFlags(CLI::App& command, TrainFlags& flags) {
  const auto count = [&](const char* name, std::int64_t& value, const char* help) {
    command.add_option(name, value, help)
        ->type_name("N")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
  };
  command
      .add_option("--lora", flags.lora_rank,
                  "Train low-rank adapters of the attentions (default: the whole UNet)")
      ->type_name("RANK")
      ->check(CLI::PositiveNumber);
  count("--steps", flags.step_count, "Of the whole run, those before it was resumed with them");
  count("--batch", flags.batch_count, "Samples in one micro-step");
  count("--accumulate", flags.accumulate_count, "Micro-steps in one step, each with its samples");
  command
      .add_option("--size", flags.size,
                  "Pictures are scaled to cover it and cut around the centre (default: what the "
                  "model was trained for)")
      ->type_name("WIDTHxHEIGHT");
  command
      .add_option("--learning-rate", flags.learning_rate,
                  "After the warm-up (default: 1e-5, with --lora 1e-4)")
      ->type_name("RATE")
      ->check(CLI::Range(0.0, 1.0));
  command.add_option("--schedule", flags.schedule, "constant, cosine or linear, down to 0")
      ->type_name("NAME")
      ->capture_default_str();
  command.add_option("--warmup", flags.warmup_step_count, "Steps from rate 0 up to the full one")
      ->type_name("N")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      .add_option("--clip-norm", flags.clip_norm,
                  "Scale gradients down to this global norm (default: do not)")
      ->type_name("NORM")
      ->check(CLI::PositiveNumber);
  command
      .add_option("--min-snr", flags.min_snr_gamma,
                  "Weigh samples by min-SNR with this gamma, 5 as a rule (default: do not)")
      ->type_name("GAMMA")
      ->check(CLI::PositiveNumber);
  command
      .add_option("--ema", flags.ema_decay,
                  "Average what is trained with this decay, 0.9999 as a rule: final/ has the "
                  "averages (default: do not)")
      ->type_name("DECAY")
      ->check(CLI::Range(0.0, 1.0));
  command.add_option("--seed", flags.seed, "Of the order, noise, timesteps and new adapters")
      ->type_name("N")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  count("--checkpoint-every", flags.steps_per_checkpoint, "Steps between saved states");
  count("--keep", flags.keep_count, "Saved states that are kept");
  command.add_flag("--tensorboard", flags.has_tensorboard,
                   "Write loss, learning rate and speed as an event file of TensorBoard, too");
}

void AddValidationFlags(CLI::App& command, TrainFlags& flags) {
  CLI::Option* const prompt =
      command
          .add_option("--validation-prompt", flags.validation_prompts,
                      "Paint this with what was trained so far, into validation/ of the output "
                      "folder; may be given again")
          ->type_name("TEXT")
          ->take_all()
          ->expected(1);
  command
      .add_option("--validation-every", flags.steps_per_validation,
                  "Training steps between such pictures")
      ->type_name("N")
      ->check(CLI::PositiveNumber)
      ->needs(prompt)
      ->capture_default_str();
  command.add_option("--validation-steps", flags.validation_step_count, "Denoising steps of each")
      ->type_name("N")
      ->check(CLI::Range(1, 999))
      ->needs(prompt)
      ->capture_default_str();
  command
      .add_option("--validation-guidance", flags.validation_guidance,
                  "How far the prompt is followed; up to 1: no guidance")
      ->type_name("SCALE")
      ->check(CLI::Range(0.0, 1000.0))
      ->needs(prompt)
      ->capture_default_str();
}

void AddPlanFlags(CLI::App& command, TrainFlags& flags) {
  command.add_option("--device", flags.device, "cpu, cuda or cuda:0")
      ->type_name("NAME")
      ->capture_default_str();
  command.add_option("--dtype", flags.dtype, "Of weights and moments: float32 or bfloat16")
      ->type_name("NAME")
      ->capture_default_str();
  command
      .add_option("--autocast", flags.autocast,
                  "bfloat16: weights and moments stay float32, the UNet computes in this, and "
                  "what is frozen is kept in it (default: do not)")
      ->type_name("NAME");
  command
      .add_option("--rounding", flags.rounding,
                  "Of updated bfloat16 weights and moments: stochastic, or nearest, which loses "
                  "small updates (default: stochastic)")
      ->type_name("NAME");
  command.add_flag("--deterministic", flags.is_deterministic,
                   "Kernels that give the same bits in each run on a GPU");
  command
      .add_option("--budget", flags.budget,
                  "Device memory of the whole process (default: what is free on a GPU, what it "
                  "takes on a CPU)")
      ->type_name("SIZE");
  command
      .add_option("--host-budget", flags.host_budget,
                  "Pinned host memory, for what the plan moves there and for the snapshot that a "
                  "save takes (default: as much as it takes)")
      ->type_name("SIZE");
  command.add_option("--plan-time", flags.plan_time_s, "Wall clock for a plan that is new")
      ->type_name("SECONDS")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command
      .add_option("--cache", flags.cache,
                  "Where profiles and plans are kept (default: $XDG_CACHE_HOME/stint or "
                  "~/.cache/stint)")
      ->type_name("FOLDER");
  command.add_flag("--no-cache", flags.has_no_cache, "Look for none and keep none");
}

}  // namespace

void AddTrainCommand(CLI::App& app, ExitCode& exit_code) {
  const auto flags = std::make_shared<TrainFlags>();
  CLI::App* command = app.add_subcommand("train", "Fine-tune a model on pictures within a budget");
  command->footer(kExamples);
  AddDataFlags(*command, *flags);
  AddTrainingFlags(*command, *flags);
  AddValidationFlags(*command, *flags);
  AddPlanFlags(*command, *flags);
  command->add_flag("--json", flags->is_json, "Print the summary as JSON");
  command->callback([flags, &exit_code] { exit_code = RunTrainCommand(*flags); });
}

}  // namespace stint
