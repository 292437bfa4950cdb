#include "models/workload.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "ir/errors.h"
#include "ir/file.h"
#include "models/denoise.h"
#include "models/embedded_configs.h"
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
}

void CheckDenoising(const Workload& workload) {
  CheckRange("--micro-steps", workload.micro_step_count, 1, 1);
  CheckRange("--update-group", workload.update_group_bytes, 0, 0);
  if (workload.clip_norm != 0) throw InputError("--clip-norm", "is for training only");
}

/// Checks all but the configuration, which is parsed already.
void CheckWords(const Workload& workload, const UnetConfig& config) {
  if (workload.task != "train" && workload.task != "train-lora" && workload.task != "denoise") {
    throw InputError("--task",
                     fmt::format("is '{}', not train, train-lora or denoise", workload.task));
  }
  if (config.in_channel_count != config.out_channel_count) {
    throw InputError(workload.model + ":/out_channels",
                     fmt::format("is {}, but in_channels is {}: what goes in is not what comes out",
                                 config.out_channel_count, config.in_channel_count));
  }
  ScalarTypeOf(workload);
  AttentionKindFromName(workload.attention);
  PredictionOf(workload);
  CheckRange("--batch", workload.batch_count, 1, kMaxBatch);
  const std::int64_t multiple_px = kPxPerLatent * config.LatentMultiple();
  CheckMultiple("--height", workload.height_px, multiple_px);
  CheckMultiple("--width", workload.width_px, multiple_px);
  if (workload.layout != "nchw" && workload.layout != "nhwc") {
    throw InputError("--layout", fmt::format("is '{}', not nchw or nhwc", workload.layout));
  }
  if (workload.task == "denoise") {
    CheckDenoising(workload);
  } else {
    CheckTraining(workload);
  }
  if (workload.task == "train-lora") {
    CheckRange("--lora-rank", workload.lora_rank, 1, kMaxRank);
  } else {
    CheckRange("--lora-rank", workload.lora_rank, 0, 0);
  }
}

/// "sd15-unet, sd21-768-unet, ...".
std::string KnownModels() {
  std::vector<const char*> names;
  for (const EmbeddedConfig& config : kEmbeddedConfigs) names.push_back(config.model);
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

torch::ScalarType ScalarTypeOf(const Workload& workload) {
  if (workload.dtype == "float32") return at::kFloat;
  if (workload.dtype == "bfloat16") return at::kBFloat16;
  if (workload.dtype == "float16") {
    if (workload.task == "denoise") return at::kHalf;
    throw InputError("--dtype", "is 'float16', whose range is too small for gradients and moments");
  }
  throw InputError("--dtype",
                   fmt::format("is '{}', not float32, bfloat16 or float16", workload.dtype));
}

Prediction PredictionOf(const Workload& workload) {
  if (workload.prediction.empty() || workload.prediction == "epsilon") return Prediction::kNoise;
  if (workload.prediction == "v_prediction") return Prediction::kVelocity;
  throw InputError("--prediction",
                   fmt::format("is '{}', not epsilon or v_prediction", workload.prediction));
}

UnetInputs DeclareConditions(ProgramHost& host, const Workload& workload, const UnetConfig& config,
                             std::int64_t sample_count) {
  const at::ScalarType dtype = ScalarTypeOf(workload);
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
  CheckAttention(kind, device, ScalarTypeOf(workload));
  return kind;
}

std::vector<std::int64_t> LatentSizes(const Workload& workload, const UnetConfig& config) {
  return {workload.batch_count, config.in_channel_count, workload.height_px / kPxPerLatent,
          workload.width_px / kPxPerLatent};
}

Workload CompleteWorkload(Workload workload) {
  const std::string where = workload.model;
  if (workload.config_json.empty()) {
    const auto known = std::ranges::find(kEmbeddedConfigs, workload.model, &EmbeddedConfig::model);
    if (known != kEmbeddedConfigs.end()) {
      workload.config_json = known->text;
      if (workload.prediction.empty() && workload.model == "sd21-768-unet") {
        workload.prediction = "v_prediction";
      }
    } else if (workload.model.ends_with(".json")) {
      const std::filesystem::path path = workload.model;
      workload.config_json = ReadText(path);
      workload.model = path.filename();
    } else {
      throw InputError("--model", fmt::format("is '{}', not a config.json or one of {}",
                                              workload.model, KnownModels()));
    }
  }
  const UnetConfig config = UnetConfigFromJson(workload.config_json, where);
  workload.config_json = nlohmann::json::parse(workload.config_json).dump();
  CheckWords(workload, config);
  return workload;
}

Workload ChooseKernels(Workload workload, torch::Device device) {
  const at::ScalarType dtype = ScalarTypeOf(workload);
  const bool is_half_on_gpu = device.is_cuda() && dtype != at::kFloat;
  if (workload.layout.empty()) workload.layout = is_half_on_gpu ? "nhwc" : "nchw";
  if (workload.attention.empty()) workload.attention = NameOf(FastestAttention(device, dtype));
  return workload;
}

Program BuildProgram(const Workload& workload) {
  UnetConfig config = UnetConfigFromJson(workload.config_json, workload.model);
  CheckWords(workload, config);
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
