// stint profile: model + task -> profile.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/artifacts.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "dispatch/device_runtime.h"
#include "ir/errors.h"
#include "ir/units.h"
#include "models/workload.h"
#include "profiler/profiler.h"

namespace stint {
namespace {

constexpr char kExamples[] = R"(Examples:
  stint profile --model sd15-unet --task train --batch 4 --dtype bfloat16 --device cuda:0 --output sd15.json.gz
  stint profile --model sd15-unet --task train-lora --height 256 --width 256 --output lora.json.gz
  stint profile --model tiny-unet --task denoise --height 64 --width 64 --output tiny.json
  stint profile --model sdxl --task generate --steps 30 --height 1024 --width 1024 --dtype float16 --device cuda:0 --output sdxl.json.gz
  stint profile --model unet/config.json --task train --micro-steps 4 --output mine.json.gz

Tensors hold no memory while a profile is taken: it needs the memory of the largest single op.)";

struct ProfileFlags {
  Workload workload{.task = "train",
                    .dtype = "float32",
                    .batch_count = 1,
                    .height_px = 512,
                    .width_px = 512,
                    .micro_step_count = 1,
                    .layout = ""};
  std::string update_group = "16MiB";
  Sampling sampling{};
  std::string device = "cpu";
  bool is_deterministic = false;
  std::string output = "-";
  bool is_json = false;
};

constexpr std::int64_t kDefaultLoraRank = 4;

/// The device is in use already.
Workload ReadWorkload(const ProfileFlags& flags) {
  Workload workload = ChooseKernels(flags.workload, torch::Device(flags.device));
  if (workload.task == "train-lora" && workload.lora_rank == 0) {
    workload.lora_rank = kDefaultLoraRank;
  }
  if (workload.task == "train" || workload.task == "train-lora") {
    workload.update_group_bytes = ParseBytes(flags.update_group, "--update-group");
  }
  return CompleteWorkload(workload, flags.sampling);
}

void PrintSummary(const Profile& profile) {
  const nlohmann::ordered_json summary = {
      {"profile_sha256", ProfileSha256(profile)},
      {"op_count", profile.ops.size()},
      {"buffer_count", profile.buffers.size()},
      {"overhead_bytes", profile.device.overhead_bytes},
      {"profiling_peak_bytes", profile.context.peak_memory_bytes},
  };
  fmt::print("{}\n", summary.dump(2));
}

void SaySummary(const Profile& profile) {
  std::int64_t duration_ns = 0;
  for (const Phase& phase : profile.phases) {
    for (std::size_t i = Index(phase.begin); i < Index(phase.end); ++i) {
      duration_ns += phase.repeat_count * profile.ops[i].duration_ns;
    }
  }
  fmt::print(stderr, "{} on {}: {} ops, {} an iteration; profiling took {} of memory and {}\n",
             profile.workload.task, profile.device.name, profile.ops.size(),
             FormatDuration(duration_ns), FormatBytes(profile.context.peak_memory_bytes),
             FormatDuration(profile.context.wall_time_ns));
}

ExitCode RunProfileCommand(const ProfileFlags& flags) {
  const auto begin = std::chrono::steady_clock::now();
  CheckWritable(flags.output, "--output");
  if (flags.is_json && flags.output == "-") {
    throw InputError("--json", "needs --output FILE: both would go to standard output");
  }
  const std::unique_ptr<DeviceRuntime> runtime = MakeDeviceRuntime(flags.device);
  const Workload workload = ReadWorkload(flags);
  Profile profile;
  {
    Progress progress("profiling", "ops");
    profile = RecordProfile(BuildProgram(workload), workload, *runtime,
                            {.is_deterministic = flags.is_deterministic,
                             .on_op = [&](std::int64_t count) { progress.Update(count, 0); }});
  }
  const std::int64_t peak_memory_bytes = profile.context.peak_memory_bytes;
  profile.context = MakeContext(begin);
  profile.context.peak_memory_bytes = peak_memory_bytes;
  WriteProfile(profile, flags.output);
  if (flags.is_json) {
    PrintSummary(profile);
  } else {
    SaySummary(profile);
  }
  return ExitCode::kDone;
}

}  // namespace

void AddProfileCommand(CLI::App& app, ExitCode& exit_code) {
  const auto flags = std::make_shared<ProfileFlags>();
  Workload& workload = flags->workload;
  CLI::App* command =
      app.add_subcommand("profile", "Record what one run of a model does, op by op");
  command->footer(kExamples);
  command
      ->add_option(
          "--model", workload.model,
          "sd15-unet, sd21-unet, sd21-768-unet, sdxl-unet, or the config.json of a diffusers "
          "UNet; to generate: sd15, sd21, sd21-768, sdxl, or a diffusers folder")
      ->required()
      ->type_name("NAME|FILE");
  command->add_option("--task", workload.task, "train, train-lora, denoise or generate")
      ->type_name("NAME")
      ->capture_default_str();
  const auto count = [&](const char* name, std::int64_t& value, const char* help) {
    command->add_option(name, value, help)
        ->type_name("N")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
  };
  count("--batch", workload.batch_count, "Samples in one micro-step");
  count("--height", workload.height_px, "Of the image, in pixels");
  count("--width", workload.width_px, "Of the image, in pixels");
  count("--micro-steps", workload.micro_step_count, "Gradient accumulation");
  command->add_option("--dtype", workload.dtype, "float32, bfloat16 or float16")
      ->type_name("NAME")
      ->capture_default_str();
  command
      ->add_option("--autocast", workload.autocast,
                   "bfloat16: train float32 weights, but compute in this (default: do not)")
      ->type_name("NAME");
  command->add_flag("--ema", workload.has_ema, "Average what is trained");
  command
      ->add_option("--rounding", workload.rounding,
                   "Of updated bfloat16 weights and moments: nearest or stochastic")
      ->type_name("NAME")
      ->capture_default_str();
  command
      ->add_option("--attention", workload.attention,
                   "cpu, flash, cudnn, efficient or math (default: the fastest of the device)")
      ->type_name("NAME");
  command
      ->add_option("--prediction", workload.prediction,
                   "epsilon or v_prediction (default: what the model was trained for)")
      ->type_name("NAME");
  command
      ->add_option(
          "--sampler", flags->sampling.sampler,
          "Of generate: ddim, euler, euler-karras, dpm++2m or dpm++2m-karras (default: the "
          "model's own)")
      ->type_name("NAME");
  command
      ->add_option("--steps", flags->sampling.step_count,
                   "Denoising steps of generate (default: 30)")
      ->type_name("N")
      ->check(CLI::PositiveNumber);
  command
      ->add_option("--lora-rank", workload.lora_rank,
                   fmt::format("Of the adapters of train-lora (default: {})", kDefaultLoraRank))
      ->type_name("N")
      ->check(CLI::PositiveNumber);
  command
      ->add_option("--layout", workload.layout,
                   "nchw, or nhwc: channels_last, with Stint's own norms (default: nhwc for half "
                   "precision on a GPU)")
      ->type_name("NAME");
  command
      ->add_option("--update-group", flags->update_group,
                   "Parameters of together so much share one update of the optimizer; 0B: none do")
      ->type_name("SIZE")
      ->capture_default_str();
  command
      ->add_option("--clip-norm", workload.clip_norm,
                   "Clip the global norm of the gradients to this (default: do not)")
      ->type_name("NUMBER")
      ->check(CLI::PositiveNumber);
  command->add_option("--device", flags->device, "cpu or cuda:0")
      ->type_name("NAME")
      ->capture_default_str();
  command->add_flag("--deterministic", flags->is_deterministic,
                    "Record with deterministic kernels");
  command->add_option("--output", flags->output, "Profile to write; - is standard output")
      ->type_name("FILE")
      ->capture_default_str();
  command->add_flag("--json", flags->is_json, "Print the summary as JSON");
  command->callback([flags, &exit_code] { exit_code = RunProfileCommand(*flags); });
}

}  // namespace stint
