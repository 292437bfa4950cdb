#include "models/scheduler_config.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <string_view>

#include "ir/errors.h"

namespace stint {
namespace {

/// Keys that are read, then keys of the samplers that change nothing while the unsupported features
/// are off: those of PNDM's warm-up, of thresholding and of the end of DPM-Solver's run, which goes
/// to no noise.
constexpr std::array<std::string_view, 19> kKnownKeys = {
    "beta_end",          "beta_start",           "prediction_type",
    "set_alpha_to_one",  "steps_offset",         "timestep_spacing",
    "use_karras_sigmas", "clip_sample_range",    "dynamic_thresholding_ratio",
    "euler_at_final",    "lambda_min_clipped",   "lower_order_final",
    "sample_max_value",  "skip_prk_steps",       "time_shift_type",
    "flow_shift",        "use_dynamic_shifting", "timestep_type",
    "variance_type"};

const nlohmann::json& UnsupportedFeatures() {
  static const nlohmann::json features = {
      {"algorithm_type", "dpmsolver++"},
      {"beta_schedule", "scaled_linear"},
      {"clip_sample", false},
      {"final_sigmas_type", "zero"},
      {"interpolation_type", "linear"},
      {"num_train_timesteps", 1000},
      {"rescale_betas_zero_snr", false},
      {"sigma_max", nullptr},
      {"sigma_min", nullptr},
      {"solver_order", 2},
      {"solver_type", "midpoint"},
      {"thresholding", false},
      {"trained_betas", nullptr},
      {"use_beta_sigmas", false},
      {"use_exponential_sigmas", false},
      {"use_flow_sigmas", false},
      {"use_lu_lambdas", false},
  };
  return features;
}

struct NamedSampler {
  std::string_view word{};  // Of the flag.
  std::string_view class_name{};
  SamplerKind kind{};
  Spacing default_spacing{};  // Where the configuration names none.
};

constexpr std::array<NamedSampler, 4> kSamplers = {{
    {"ddim", "DDIMScheduler", SamplerKind::kDdim, Spacing::kLeading},
    {"ddim", "PNDMScheduler", SamplerKind::kDdim, Spacing::kLeading},
    {"euler", "EulerDiscreteScheduler", SamplerKind::kEuler, Spacing::kLinspace},
    {"dpm++2m", "DPMSolverMultistepScheduler", SamplerKind::kDpm2m, Spacing::kLinspace},
}};

const NamedSampler& SamplerOf(const ConfigReader& reader, const std::string& word) {
  const std::string class_name = reader.Text("_class_name", "");
  for (const NamedSampler& sampler : kSamplers) {
    if (word.empty() ? class_name == sampler.class_name : word == sampler.word) return sampler;
  }
  if (!word.empty()) {
    throw InputError("--sampler", fmt::format("is '{}', not ddim, euler, euler-karras, dpm++2m or "
                                              "dpm++2m-karras",
                                              word));
  }
  reader.Fail("_class_name", fmt::format("is \"{}\"; Stint knows DDIMScheduler, PNDMScheduler, "
                                         "EulerDiscreteScheduler and DPMSolverMultistepScheduler",
                                         class_name));
}

Spacing SpacingOf(const ConfigReader& reader, Spacing fallback) {
  if (!reader.Has("timestep_spacing")) return fallback;
  const std::string word = reader.Text("timestep_spacing", "");
  if (word == "leading") return Spacing::kLeading;
  if (word == "linspace") return Spacing::kLinspace;
  if (word == "trailing") return Spacing::kTrailing;
  reader.Fail("timestep_spacing",
              fmt::format("is \"{}\"; Stint knows leading, linspace and trailing", word));
}

}  // namespace

Prediction PredictionFromName(const std::string& word, const std::string& where) {
  if (word.empty() || word == "epsilon") return Prediction::kNoise;
  if (word == "v_prediction") return Prediction::kVelocity;
  throw InputError(where, fmt::format("is '{}', not epsilon or v_prediction", word));
}

SchedulerConfig ReadSchedulerConfig(const ConfigReader& reader, const std::string& sampler) {
  constexpr std::string_view kKarras = "-karras";
  constexpr double kBetaStart = 0.00085;
  constexpr double kBetaEnd = 0.012;
  reader.RefuseOthers(kKnownKeys, UnsupportedFeatures());
  for (const auto& [key, beta] : {std::pair{"beta_start", kBetaStart}, {"beta_end", kBetaEnd}}) {
    if (reader.Number(key, beta) != beta) {
      reader.Fail(key, fmt::format("is {}; Stint supports only {}", reader.At(key).dump(), beta));
    }
  }
  const bool names_karras = sampler.ends_with(kKarras) && !sampler.starts_with("ddim");
  const std::string word =
      names_karras ? sampler.substr(0, sampler.size() - kKarras.size()) : sampler;
  const NamedSampler& known = SamplerOf(reader, word);
  SchedulerConfig config = {
      .sampler = known.kind,
      .spacing = SpacingOf(reader, known.default_spacing),
      .ends_without_noise = reader.Bool("set_alpha_to_one", true),
      .has_karras_spacing =
          sampler.empty() ? reader.Bool("use_karras_sigmas", false) : names_karras,
  };
  const std::string prediction = reader.Text("prediction_type", "");
  if (!prediction.empty() && prediction != "epsilon" && prediction != "v_prediction") {
    reader.Fail("prediction_type",
                fmt::format("is \"{}\"; Stint knows epsilon and v_prediction", prediction));
  }
  config.prediction = PredictionFromName(prediction, "prediction_type");
  const double offset = reader.Number("steps_offset", 0);
  if (offset != 0 && offset != 1) reader.Fail("steps_offset", "is not 0 or 1");
  config.step_offset = std::lround(offset);
  return config;
}

}  // namespace stint
