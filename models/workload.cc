#include "models/workload.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "ir/errors.h"
#include "ir/file.h"
#include "models/denoise.h"
#include "models/generate.h"
#include "models/known_models.h"
#include "models/pipeline_config.h"
#include "models/training_step.h"
#include "models/workload_details.h"

namespace stint {
namespace {

constexpr std::int64_t kMaxBatch = 4096;
constexpr std::int64_t kMaxPx = 16384;
constexpr std::int64_t kMaxMicroSteps = 65536;
constexpr std::int64_t kMaxRank = 4096;
constexpr std::int64_t kMaxGroupBytes = std::int64_t{1} << 40;

void CheckRange(const std::string& flag, std::int64_t value, std::int64_t min, std::int64_t max) {
  if (value < min || value > max) {
    throw InputError(flag, fmt::format("is {}, not from {} to {}", value, min, max));
  }
}

void CheckMultiple(const std::string& flag, std::int64_t value_px, std::int64_t multiple_px) {
  CheckRange(flag, value_px, multiple_px, kMaxPx);
  if (value_px % multiple_px != 0) {
    throw InputError(flag, fmt::format("is {}, not a multiple of {}", value_px, multiple_px));
  }
}

/// What only training has.
void CheckTraining(const Workload& workload) {
  CheckRange("--micro-steps", workload.micro_step_count, 1, kMaxMicroSteps);
  CheckRange("--update-group", workload.update_group_bytes, 0, kMaxGroupBytes);
  if (!(workload.clip_norm >= 0) || std::isinf(workload.clip_norm)) {
    throw InputError("--clip-norm",
                     fmt::format("is {}, not a positive number", workload.clip_norm));
  }
  ComputeTypeOf(workload);
  if (workload.rounding != "nearest" && workload.rounding != "stochastic") {
    throw InputError("--rounding",
                     fmt::format("is '{}', not nearest or stochastic", workload.rounding));
  }
  if (workload.rounding == "stochastic" && workload.dtype != "bfloat16") {
    throw InputError("--rounding",
                     fmt::format("is stochastic, but weights are {}", workload.dtype));
  }
}

/// What lacks a training step's parts.
void CheckInference(const Workload& workload) {
  CheckRange("--micro-steps", workload.micro_step_count, 1, 1);
  CheckRange("--update-group", workload.update_group_bytes, 0, 0);
  if (workload.clip_norm != 0) throw InputError("--clip-norm", "is for training only");
  if (!workload.autocast.empty()) throw InputError("--autocast", "is for training only");
  if (workload.rounding != "nearest") throw InputError("--rounding", "is for training only");
  if (workload.has_ema) throw InputError("--ema", "is for training only");
}

/// Checks all but the configuration, which is parsed already. `size_multiple_px`: of height and
/// width.
void CheckWords(const Workload& workload, std::int64_t size_multiple_px) {
  const bool is_trained = workload.task == "train" || workload.task == "train-lora";
  if (!is_trained && workload.task != "denoise" && workload.task != "generate") {
    throw InputError("--task", fmt::format("is '{}', not train, train-lora, denoise or generate",
                                           workload.task));
  }
  ScalarTypeOf(workload);
  AttentionKindFromName(workload.attention);
  PredictionOf(workload);
  CheckRange("--batch", workload.batch_count, 1, kMaxBatch);
  CheckMultiple("--height", workload.height_px, size_multiple_px);
  CheckMultiple("--width", workload.width_px, size_multiple_px);
  if (workload.layout != "nchw" && workload.layout != "nhwc") {
    throw InputError("--layout", fmt::format("is '{}', not nchw or nhwc", workload.layout));
  }
  if (is_trained) {
    CheckTraining(workload);
  } else {
    CheckInference(workload);
  }
  const bool is_lora = workload.task == "train-lora";
  CheckRange("--lora-rank", workload.lora_rank, is_lora ? 1 : 0, is_lora ? kMaxRank : 0);
}

UnetConfig CheckedUnet(const Workload& workload, const std::string& where) {
  UnetConfig config = UnetConfigFromJson(workload.config_json, where);
  if (config.in_channel_count != config.out_channel_count) {
    throw InputError(where + ":/out_channels",
                     fmt::format("is {}, but in_channels is {}: what goes in is not what comes out",
                                 config.out_channel_count, config.in_channel_count));
  }
  CheckWords(workload, kPxPerLatent * config.LatentMultiple());
  return config;
}

PipelineConfig CheckedPipeline(const Workload& workload, const std::string& where) {
  PipelineConfig config = PipelineConfigFromJson(workload.config_json, where);
  if (config.vae.PxPerLatent() != kPxPerLatent) {
    throw InputError(
        where + ":/vae/block_out_channels",
        fmt::format("makes latents of {} pixels, not {}", config.vae.PxPerLatent(), kPxPerLatent));
  }
  if (!workload.prediction.empty()) {
    throw InputError("--prediction", "is for UNets by themselves: the scheduler says it here");
  }
  CheckWords(workload, kPxPerLatent * config.unet.LatentMultiple());
  return config;
}

/// The configuration of the UNet that the workload names.
std::string UnetText(Workload& workload) {
  if (const std::optional<std::string> known = KnownUnet(workload.model)) {
    if (workload.prediction.empty() && workload.model == "sd21-768-unet") {
      workload.prediction = "v_prediction";
    }
    return *known;
  }
  if (!workload.model.ends_with(".json")) {
    throw InputError("--model", fmt::format("is '{}', not a config.json or one of {}",
                                            workload.model, KnownUnetNames()));
  }
  const std::filesystem::path path = workload.model;
  workload.model = path.filename();
  return ReadText(path);
}

/// The configuration of the whole model that the workload names.
std::string PipelineText(Workload& workload) {
  std::optional<std::string> text = KnownPipeline(workload.model);
  if (!text) {
    const std::filesystem::path folder = workload.model;
    if (!std::filesystem::is_directory(folder)) {
      throw InputError("--model", fmt::format("is '{}', not a diffusers folder or one of {}",
                                              workload.model, KnownPipelineNames()));
    }
    text = ReadPipelineFolder(folder);
    workload.model = std::filesystem::absolute(folder).lexically_normal().filename();
  }
  return *text;
}

/// And how it is sampled, as far as `sampling` says it.
std::string WithSampling(const std::string& text, const Sampling& sampling) {
  nlohmann::json parts = nlohmann::json::parse(text);
  if (!sampling.sampler.empty()) parts["sampler"] = sampling.sampler;
  if (sampling.step_count != 0) parts["step_count"] = sampling.step_count;
  if (!sampling.guidance.empty()) parts["guidance"] = sampling.guidance;
  if (sampling.picture_step_count != 0) parts["picture_step_count"] = sampling.picture_step_count;
  return parts.dump();
}

}  // namespace

torch::ScalarType ScalarTypeOf(const Workload& workload) {
  if (workload.dtype == "float32") return at::kFloat;
  if (workload.dtype == "bfloat16") return at::kBFloat16;
  if (workload.dtype == "float16") {
    if (workload.task == "denoise" || workload.task == "generate") return at::kHalf;
    throw InputError("--dtype", "is 'float16', whose range is too small for gradients and moments");
  }
  throw InputError("--dtype",
                   fmt::format("is '{}', not float32, bfloat16 or float16", workload.dtype));
}

torch::ScalarType ComputeTypeOf(const Workload& workload) {
  const at::ScalarType dtype = ScalarTypeOf(workload);
  if (workload.autocast.empty()) return dtype;
  if (workload.autocast != "bfloat16") {
    throw InputError("--autocast", fmt::format("is '{}', not bfloat16", workload.autocast));
  }
  if (dtype != at::kFloat) {
    throw InputError("--autocast",
                     fmt::format("is for weights in float32, not {}", workload.dtype));
  }
  return at::kBFloat16;
}

Prediction PredictionOf(const Workload& workload) {
  return PredictionFromName(workload.prediction, "--prediction");
}

UnetInputs DeclareConditions(ProgramHost& host, const Workload& workload, const UnetConfig& config,
                             std::int64_t sample_count) {
  const at::ScalarType dtype = ComputeTypeOf(workload);
  const auto input = [&](const char* name, const std::vector<std::int64_t>& sizes,
                         at::ScalarType input_dtype) {
    return host.Persistent(name, BufferRole::kInput, sizes, input_dtype);
  };
  UnetInputs inputs;
  inputs.text_states =
      input("text_states", {sample_count, kTextTokenCount, config.cross_attention_size}, dtype);
  if (config.HasAddition()) {
    inputs.pooled_text = input("pooled_text", {sample_count, config.pooled_text_size}, dtype);
    inputs.time_ids = input("time_ids", {sample_count, kTimeIdCount}, at::kFloat);
  }
  return inputs;
}

AttentionKind AttentionOf(const Workload& workload, torch::Device device) {
  const AttentionKind kind = AttentionKindFromName(workload.attention);
  CheckAttention(kind, device, ComputeTypeOf(workload));
  return kind;
}

std::vector<std::int64_t> LatentSizes(const Workload& workload, const UnetConfig& config) {
  return {workload.batch_count, config.in_channel_count, workload.height_px / kPxPerLatent,
          workload.width_px / kPxPerLatent};
}

Workload CompleteWorkload(Workload workload, const Sampling& sampling) {
  const std::string where = workload.model;
  const bool is_whole = workload.task == "generate";
  if (!is_whole && !sampling.sampler.empty()) {
    throw InputError("--sampler", "is for --task generate only");
  }
  if (!is_whole && sampling.step_count != 0) {
    throw InputError("--steps", "is for --task generate only");
  }
  if (workload.config_json.empty()) {
    workload.config_json = is_whole ? PipelineText(workload) : UnetText(workload);
  }
  if (is_whole) {
    workload.config_json = WithSampling(workload.config_json, sampling);
    CheckedPipeline(workload, where);
  } else {
    CheckedUnet(workload, where);
  }
  workload.config_json = nlohmann::json::parse(workload.config_json).dump();
  return workload;
}

Workload ChooseKernels(Workload workload, torch::Device device) {
  const at::ScalarType dtype = ComputeTypeOf(workload);
  const bool is_half_on_gpu = device.is_cuda() && dtype != at::kFloat;
  if (workload.layout.empty()) workload.layout = is_half_on_gpu ? "nhwc" : "nchw";
  if (workload.attention.empty()) workload.attention = NameOf(FastestAttention(device, dtype));
  return workload;
}

Program BuildProgram(const Workload& workload) {
  if (workload.task == "generate") {
    return [workload, config = CheckedPipeline(workload, workload.model)](ProgramHost& host) {
      RunGenerate(host, workload, config);
    };
  }
  UnetConfig config = CheckedUnet(workload, workload.model);
  if (workload.task == "denoise") {
    return [workload, config = std::move(config)](ProgramHost& host) {
      RunDenoise(host, workload, config);
    };
  }
  return [workload, config = std::move(config)](ProgramHost& host) {
    RunTraining(host, workload, config);
  };
}

}  // namespace stint
