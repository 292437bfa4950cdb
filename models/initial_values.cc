#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "files/safetensors.h"
#include "ir/errors.h"
#include "models/generate.h"
#include "models/initial_weight.h"
#include "models/noise_schedule.h"
#include "models/random.h"
#include "models/sampler.h"
#include "models/scalar_types.h"
#include "models/workload.h"

namespace stint {
namespace {

constexpr double kLearningRate = 1e-5;
constexpr std::int64_t kSamplerStepCount = 50;
constexpr std::int64_t kClipTokenCount = 49408;
constexpr double kGuidanceScale = 7.5;
constexpr std::string_view kSeedPrefix = "seed:";
constexpr std::string_view kAdapterA = ".lora_A.weight";
constexpr std::string_view kAdapterB = ".lora_B.weight";

/// The sampler's step that the seed chooses: three inputs must be of the same one.
DdimStep ChooseStep(std::uint64_t seed) {
  const std::uint64_t key = RandomKey(seed, "sampler step");
  return MakeDdimStep(static_cast<std::int64_t>(key % kSamplerStepCount), kSamplerStepCount);
}

void FillInput(const Buffer& buffer, std::uint64_t seed, const at::Tensor& value,
               const std::string& where) {
  const std::uint64_t key = RandomKey(seed, buffer.name);
  if (buffer.name == "alphas_cumprod") {
    value.copy_(AlphasCumprod());
  } else if (buffer.name == "learning_rate") {
    value.fill_(kLearningRate);
  } else if (buffer.name == "ema_rate") {
    value.fill_(1);  // As in a run's first step.
  } else if (buffer.name == "timesteps") {
    FillIntegers(key, kTimestepCount, value);
  } else if (buffer.name == "timestep") {
    value.fill_(ChooseStep(seed).timestep);
  } else if (buffer.name == "latent_scale") {
    value.fill_(ChooseStep(seed).latent_scale);
  } else if (buffer.name == "noise_scale") {
    value.fill_(ChooseStep(seed).noise_scale);
  } else if (buffer.name == "token_ids" || buffer.name == "token_ids_2") {
    FillIntegers(key, kClipTokenCount, value);
  } else if (buffer.name == "sampler_steps") {
    // DDIM's, whatever the sampler: numbers of a real run.
    value.copy_(SamplerTable(MakeSamplerSchedule({}, value.size(0), AlphasCumprodValues())));
  } else if (buffer.name == "loss_weights" || buffer.name == "initial_scale" ||
             buffer.name == "picture_scale") {
    value.fill_(1);
  } else if (buffer.name == "guidance_scale") {
    value.fill_(kGuidanceScale);
  } else if (buffer.name == "time_ids") {
    // A whole picture of 1024 x 1024: original height and width, no crop, the same as target.
    value.fill_(1024).slice(1, 2, 4).zero_();
  } else if (value.is_floating_point()) {
    FillBell(key, 1, value);  // Latents, noise, text states.
  } else {
    throw InputError(where, fmt::format("gives no values for buffer '{}'", buffer.name));
  }
}

void FillFresh(const Buffer& buffer, std::uint64_t seed, const at::Tensor& value,
               const std::string& where) {
  switch (buffer.role) {
    case BufferRole::kWeight:
      return FillInitialWeight(buffer.name, seed, value);
    case BufferRole::kOptimizerState:
    case BufferRole::kEma:  // The first step replaces all of it.
      value.zero_();
      return;
    default:
      return FillInput(buffer, seed, value, where);
  }
}

/// Has `fill` fill a contiguous tensor like `value`, then copies from that if it is another: values
/// do not depend on how they lie in memory.
void FillInAnyLayout(const at::Tensor& value, const std::function<void(const at::Tensor&)>& fill) {
  if (value.is_contiguous()) return fill(value);
  const at::Tensor contiguous = at::empty(value.sizes(), value.options());
  fill(contiguous);
  value.copy_(contiguous);
}

class SeedSource : public ValueSource {
 public:
  SeedSource(std::uint64_t seed, std::string flag) : seed_(seed), flag_(std::move(flag)) {}

  void Load(const Buffer& buffer, const torch::Tensor& value) const override {
    FillInAnyLayout(
        value, [&](const at::Tensor& contiguous) { FillFresh(buffer, seed_, contiguous, flag_); });
  }

 private:
  std::uint64_t seed_;
  std::string flag_;
};

class FileSource : public ValueSource {
 public:
  /// `may_be_absent`: buffers that start as a fresh run's if the file does not have them.
  FileSource(const std::string& path, std::function<bool(const Buffer&)> may_be_absent)
      : file_(path), may_be_absent_(std::move(may_be_absent)) {}

  void Load(const Buffer& buffer, const torch::Tensor& value) const override {
    FillInAnyLayout(value, [&](const at::Tensor& contiguous) { Read(buffer, contiguous); });
  }

 private:
  void Read(const Buffer& buffer, const torch::Tensor& value) const {
    const std::string where = file_.path().string() + ":" + buffer.name;
    const auto found = file_.tensors().find(buffer.name);
    if (found == file_.tensors().end()) {
      if (!may_be_absent_(buffer)) throw InputError(where, "is not in the file");
      return FillFresh(buffer, 0, value, where);
    }
    const TensorView& entry = found->second;
    if (value.sizes() != at::IntArrayRef(entry.sizes)) {
      throw InputError(where,
                       fmt::format("has the sizes [{}], not [{}]", fmt::join(entry.sizes, ", "),
                                   fmt::join(value.sizes(), ", ")));
    }
    const std::optional<at::ScalarType> dtype = ScalarTypeOf(entry.dtype);
    if (!dtype || at::isFloatingType(*dtype) != value.is_floating_point()) {
      throw InputError(
          where, fmt::format("is of dtype {}, which does not turn into {}",
                             SafetensorsName(entry.dtype), c10::toString(value.scalar_type())));
    }
    // The file's bytes may lie at any address: they are copied before they are numbers.
    const at::Tensor same_dtype =
        *dtype == value.scalar_type() ? value : at::empty(value.sizes(), *dtype);
    if (!entry.data.empty()) {
      std::memcpy(same_dtype.mutable_data_ptr(), entry.data.data(), entry.data.size());
    }
    if (*dtype != value.scalar_type()) value.copy_(same_dtype);
  }

  SafetensorsFile file_;
  std::function<bool(const Buffer&)> may_be_absent_;
};

std::unique_ptr<ValueSource> MakeSource(const std::string& text, const std::string& flag,
                                        std::function<bool(const Buffer&)> may_be_absent) {
  if (text.ends_with(".safetensors")) {
    return std::make_unique<FileSource>(text, std::move(may_be_absent));
  }
  const std::string_view number =
      std::string_view(text).substr(std::min(text.size(), kSeedPrefix.size()));
  std::uint64_t seed = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), seed);
  if (!text.starts_with(kSeedPrefix) || error != std::errc() ||
      end != number.data() + number.size()) {
    throw InputError(flag, fmt::format("is '{}', not seed:N or a .safetensors file", text));
  }
  return std::make_unique<SeedSource>(seed, flag);
}

}  // namespace

std::unique_ptr<ValueSource> MakeWeightSource(const std::string& text, const std::string& flag) {
  return MakeSource(text, flag, [](const Buffer& buffer) {
    return buffer.role == BufferRole::kOptimizerState || buffer.role == BufferRole::kEma ||
           buffer.name.ends_with(kAdapterA) || buffer.name.ends_with(kAdapterB);
  });
}

std::unique_ptr<ValueSource> MakeInputSource(const std::string& text, const std::string& flag) {
  return MakeSource(text, flag, [](const Buffer& buffer) {
    return buffer.role == BufferRole::kConstant || buffer.name == "learning_rate" ||
           buffer.name == "loss_weights" || buffer.name == "ema_rate";
  });
}

}  // namespace stint
