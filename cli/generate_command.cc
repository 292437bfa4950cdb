// stint generate: a model and a prompt -> pictures, by way of a profile and a plan.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "cli/artifacts.h"
#include "cli/budget.h"
#include "cli/commands.h"
#include "cli/generation.h"
#include "cli/generation_request.h"
#include "cli/interrupt.h"
#include "cli/plan_cache.h"
#include "cli/prepare.h"
#include "files/safetensors_writer.h"
#include "ir/errors.h"
#include "ir/output_file.h"
#include "ir/units.h"
#include "models/generate.h"

namespace stint {
namespace {

constexpr char kExamples[] = R"(Examples:
  stint generate --model sd15/ --prompt "a red boat" --output boat.png
  stint generate --model sdxl/ --prompt "a red boat" --negative-prompt fog --size 1024x1024 \
                 --device cuda:0 --budget 6GiB --output boat.png
  stint generate --model sd15.safetensors --tokenizer sd15/tokenizer --prompt "a red boat" \
                 --sampler dpm++2m-karras --steps 20 --batch 4 --output boats.png
  stint generate --model sd15/ --lora boats.safetensors:0.8 --prompt "a red boat" --output boat.png
  stint generate --model sd15/ --prompt "a red boat" --init-image sketch.jpg --strength 0.6 \
                 --output boat.png

The first call with a new model, size, dtype, device or budget records a profile and plans; later
ones find both in the cache. Pictures depend on the seed, not on the budget. With --guidance 1 or
less the negative prompt does nothing, and a step takes half the time. The seed's noise is that of
diffusers with a CPU generator. Exit 3: nothing fits the budget (the line says how much would).)";

void WriteOutputs(const GenerateFlags& flags, const Workload& workload,
                  const std::vector<std::filesystem::path>& paths, const Generated& generated) {
  const ScopedInterrupt deferred;  // Ctrl-C comes between files, not into one.
  const auto stop_if_pressed = [&] {
    if (deferred.was_pressed()) throw std::runtime_error("interrupted");
  };
  for (std::size_t i = 0; i < paths.size(); ++i) {
    const auto index = static_cast<std::int64_t>(i);
    WritePng(paths[i], PictureOf(generated, index),
             {{"parameters", DescribeParameters(flags, workload, index)}});
    stop_if_pressed();
  }
  if (flags.latents.empty()) return;
  const at::Tensor latents = generated.outputs.at("latents").contiguous();
  const TensorView view = {
      .dtype = Dtype::kF32,
      .sizes = latents.sizes().vec(),
      .data = {static_cast<const std::byte*>(latents.const_data_ptr()), latents.nbytes()}};
  WriteSafetensors(flags.latents, {SourceOf("latents", view)}, {});
}

void PrintSummary(const GenerateFlags& flags, const Prepared& prepared, const Generated& generated,
                  const std::vector<std::filesystem::path>& paths) {
  const Plan& plan = *prepared.answer.plan;
  const Report& measured = generated.measured;
  nlohmann::ordered_json summary;
  for (const std::filesystem::path& path : paths) summary["pictures"].push_back(path.string());
  summary["seed"] = flags.seed;
  summary["budget_bytes"] = plan.budget_bytes;
  summary["overhead_bytes"] = plan.overhead_bytes;
  summary["predicted_arena_bytes"] = generated.predicted.arena_bytes;
  summary["measured_arena_bytes"] = measured.arena_bytes;
  summary["predicted_peak_bytes"] = generated.predicted.peak_bytes;
  summary["measured_peak_bytes"] = measured.peak_bytes;
  summary["process_bytes"] = measured.process_bytes;
  summary["is_memory_equal"] = generated.difference.empty();
  summary["solver_parts"] = plan.solver_parts;
  summary["recomputed_op_count"] = measured.recomputed_op_count;
  summary["host_bytes"] = plan.host_bytes;
  summary["has_cached_profile"] = prepared.has_cached_profile;
  summary["has_cached_plan"] = prepared.has_cached_plan;
  summary["profile_ns"] = prepared.profile_ns;
  summary["plan_ns"] = prepared.plan_ns;
  summary["load_ns"] = generated.load_ns;
  summary["predicted_ns"] = generated.predicted.duration_ns;
  summary["measured_ns"] = measured.duration_ns;
  fmt::print("{}\n", summary.dump(2));
}

void PrintNo(const Prepared& prepared) {
  const nlohmann::ordered_json summary = {{"budget_bytes", prepared.plan_request.budget_bytes},
                                          {"min_budget_bytes", prepared.answer.min_budget_bytes},
                                          {"binding", prepared.answer.binding}};
  fmt::print("{}\n", summary.dump(2));
}

void SaySummary(const Prepared& prepared, const Generated& generated,
                const std::vector<std::filesystem::path>& paths) {
  const Plan& plan = *prepared.answer.plan;
  fmt::print(
      stderr, "{}{}: {} after {} of reading{}; arena {}, as predicted: {}\n",
      paths.front().string(), paths.size() == 1 ? "" : fmt::format(" to {}", paths.back().string()),
      FormatDuration(generated.measured.duration_ns), FormatDuration(generated.load_ns),
      prepared.has_cached_plan
          ? ""
          : fmt::format(", {} of profiling and {} of planning, which are kept for the next time",
                        FormatDuration(prepared.profile_ns), FormatDuration(prepared.plan_ns)),
      ExactBytes(generated.measured.arena_bytes), generated.difference.empty() ? "yes" : "no");
  if (plan.host_bytes > 0) {
    fmt::print(stderr, "{} of weights and states wait in host memory\n",
               FormatBytes(plan.host_bytes));
  }
}

ExitCode RunGenerateCommand(const GenerateFlags& flags) {
  const std::vector<std::filesystem::path> paths = OutputPaths(flags.output, flags.batch_count);
  for (const std::filesystem::path& path : paths) CheckWritable(path, "--output");
  if (!flags.latents.empty()) CheckWritable(flags.latents, "--latents");
  const std::optional<std::int64_t> budget_bytes = BudgetBytesOf(flags.prepare);
  std::vector<LoraChoice> loras;
  for (const std::string& lora : flags.loras) loras.push_back(ParseLoraFlag(lora));

  ModelFiles model = OpenModel({.path = flags.model,
                                .variant = flags.variant,
                                .config = flags.config,
                                .tokenizer = flags.tokenizer});
  const std::unique_ptr<DeviceRuntime> runtime = MakeDeviceRuntime(flags.prepare.device);
  const Workload workload = GenerationWorkload(flags, model, torch::Device(flags.prepare.device));
  // All that can be wrong with what the user gave, before any work is spent on it.
  const std::unique_ptr<ValueSource> weights =
      MakeCheckpointWeights(std::move(model.checkpoint), flags.model,
                            PipelineConfigFromJson(workload.config_json, flags.model), loras);
  const std::unique_ptr<ValueSource> inputs =
      MakeGenerationInputs(workload, MakeGenerationRequest(flags, workload), model.tokenizers);

  const PlanCache cache = CacheOf(flags.prepare);
  const Prepared prepared = Prepare({.workload = workload,
                                     .is_deterministic = flags.prepare.is_deterministic,
                                     .budget_bytes = budget_bytes,
                                     .time_limit_s = flags.prepare.plan_time_s},
                                    cache, *runtime);
  if (!prepared.answer.plan) {
    if (flags.is_json) PrintNo(prepared);
    fmt::print(stderr, "stint: {}\n", DescribeNo(prepared.plan_request, prepared.answer));
    return ExitCodeOf(prepared.answer);
  }
  const Generated generated = Generate(prepared, *weights, *inputs, *runtime);
  WriteOutputs(flags, workload, paths, generated);
  if (flags.is_json) {
    PrintSummary(flags, prepared, generated, paths);
  } else {
    SaySummary(prepared, generated, paths);
  }
  if (generated.difference.empty()) return ExitCode::kDone;
  fmt::print(stderr, "stint: {}: {}\n", flags.model, generated.difference);
  return ExitCode::kCheckFailed;
}

void AddModelFlags(CLI::App& command, GenerateFlags& flags) {
  command.add_option("--model", flags.model, "Diffusers folder, or single .safetensors file")
      ->required()
      ->type_name("PATH");
  command.add_option("--variant", flags.variant, "Of a folder: prefer model.VARIANT.safetensors")
      ->type_name("WORD");
  command
      .add_option("--config", flags.config,
                  "Of a single file: sd15, sd21, sd21-768 or sdxl (default: what its weights say)")
      ->type_name("NAME");
  command
      .add_option("--tokenizer", flags.tokenizer,
                  "Folder with vocab.json and merges.txt; a single file needs it")
      ->type_name("FOLDER");
  command
      .add_option("--lora", flags.loras,
                  "LoRA adapters to merge into the weights, and how much; may be given again")
      ->type_name("FILE[:SCALE]");
}

void AddPictureFlags(CLI::App& command, GenerateFlags& flags) {
  command.add_option("--prompt", flags.prompt, "What to show, in UTF-8")
      ->required()
      ->type_name("TEXT");
  command.add_option("--negative-prompt", flags.negative_prompt, "What not to show")
      ->type_name("TEXT");
  command
      .add_option("--guidance", flags.guidance_scale,
                  "How far the prompt is followed; up to 1: no guidance")
      ->type_name("SCALE")
      ->check(CLI::Range(0.0, 1000.0))
      ->capture_default_str();
  command
      .add_option(
          "--size", flags.size,
          "Multiples of 64 pixels, or 32 for SDXL (default: what the model was trained for)")
      ->type_name("WIDTHxHEIGHT");
  command.add_option("--steps", flags.step_count, "Denoising steps")
      ->type_name("N")
      ->check(CLI::Range(1, 999))
      ->capture_default_str();
  command
      .add_option("--sampler", flags.sampler,
                  "ddim, euler, euler-karras, dpm++2m or dpm++2m-karras (default: the model's own)")
      ->type_name("NAME");
  command.add_option("--seed", flags.seed, "Of the noise")->type_name("N")->capture_default_str();
  command
      .add_option("--batch", flags.batch_count,
                  "Pictures at once: out-0.png, out-1.png, ... of out.png")
      ->type_name("N")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command.add_option("--init-image", flags.picture, "PNG or JPEG to begin with instead of noise")
      ->type_name("FILE");
  command
      .add_option("--strength", flags.strength,
                  "Share of the steps that is done to the picture to begin with")
      ->type_name("SHARE")
      ->capture_default_str();
}

}  // namespace

void AddGenerateCommand(CLI::App& app, ExitCode& exit_code) {
  const auto flags = std::make_shared<GenerateFlags>();
  CLI::App* command = app.add_subcommand("generate", "Paint pictures of a prompt within a budget");
  command->footer(kExamples);
  AddModelFlags(*command, *flags);
  AddPictureFlags(*command, *flags);
  command
      ->add_option("--dtype", flags->dtype,
                   "float32, float16 or bfloat16 (default: float16 on a GPU, else float32)")
      ->type_name("NAME");
  AddPrepareFlags(*command, flags->prepare);
  command
      ->add_option("--output", flags->output,
                   "PNG to write, with the settings in its text \"parameters\"")
      ->required()
      ->type_name("FILE");
  command->add_option("--latents", flags->latents, "Write the final latents, too: .safetensors")
      ->type_name("FILE");
  command->add_flag("--json", flags->is_json, "Print the summary, or the no, as JSON");
  command->callback([flags, &exit_code] { exit_code = RunGenerateCommand(*flags); });
}

}  // namespace stint
