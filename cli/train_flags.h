// What a user asks of `stint train`: flags and their help, as they are said. No LibTorch.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/prepare_flags.h"

namespace stint {

/// As the flags say it; empty words are defaults that the help names.
struct TrainFlags {
  std::string model{};
  std::string variant{};
  std::string data{};
  bool skips_bad_pictures = false;
  std::string output{};
  std::string resume{};
  std::int64_t lora_rank = 0;
  std::string size{};
  bool has_aspect_buckets = false;
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
  PrepareFlags prepare{};
  std::string host_budget{};
  std::string data_cache{};
  bool is_json = false;
};

/// Adds the flags, which fill `flags`, and examples. `flags` must outlive `command`.
void AddTrainFlags(CLI::App& command, TrainFlags& flags);

}  // namespace stint
