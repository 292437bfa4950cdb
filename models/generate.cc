#include "models/generate.h"

#include <ATen/ATen.h>

#include <unordered_map>
#include <utility>

#include "dispatch/scope.h"
#include "ir/errors.h"
#include "models/blocks.h"
#include "models/text_encoder.h"
#include "models/unet.h"
#include "models/vae.h"
#include "models/workload_details.h"

namespace stint {
namespace {

/// Columns of sampler_steps.
enum class Column : std::int64_t {
  kTimestep,
  kInputScale,
  kNextLatents,
  kNextPredicted,
  kNextHistory,
  kSignalLatents,
  kSignalPredicted,
  kCount,
};

/// The weights of one part of the pipeline; each exists from its first use on.
class ComponentWeights {
 public:
  ComponentWeights(ProgramHost& host, const Component& component, at::ScalarType dtype,
                   bool is_nhwc)
      : host_(host), prefix_(component.name + "."), dtype_(dtype), is_nhwc_(is_nhwc) {
    for (const WeightSpec& spec : component.weights) specs_[spec.name] = spec;
  }

  FindWeight Finder() {
    return [this](const std::string& name) {
      const auto found = tensors_.find(name);
      if (found != tensors_.end()) return found->second;
      const WeightSpec& spec = specs_.at(name);
      const at::Tensor weight = host_.Persistent(prefix_ + name, BufferRole::kWeight, spec.sizes,
                                                 dtype_, FormatOf(spec, is_nhwc_));
      return tensors_.emplace(name, weight).first->second;
    };
  }

 private:
  ProgramHost& host_;
  std::string prefix_;
  at::ScalarType dtype_;
  bool is_nhwc_;
  std::unordered_map<std::string, WeightSpec> specs_;
  std::unordered_map<std::string, at::Tensor> tensors_;
};

/// What the phases hand on to each other.
struct State {
  UnetInputs conditions{};
  at::Tensor latents{};     // float32; each step writes it.
  at::Tensor history{};     // The same; undefined where the sampler has none.
  at::Tensor step_index{};  // int64 [1]; each step counts it up.
};

/// The whole of a generation but its host's phases.
class Generation {
 public:
  Generation(ProgramHost& host, const Workload& workload, const PipelineConfig& config)
      : workload_(workload),
        config_(config),
        unet_options_{.attention = AttentionOf(workload, host.device()),
                      .is_nhwc = workload.layout == "nhwc"},
        dtype_(ScalarTypeOf(workload)),
        vae_dtype_(config.vae.needs_float32 ? at::kFloat : dtype_) {
    for (const Component& component : ComponentsOf(config)) {
      weights_.try_emplace(component.name, host, component,
                           component.name == "vae" ? vae_dtype_ : dtype_,
                           component.name == "unet" && unet_options_.is_nhwc);
    }
    const std::int64_t prompt_count = config.PromptsPerPicture() * workload.batch_count;
    const auto input = [&](const std::string& name, const std::vector<std::int64_t>& sizes,
                           at::ScalarType dtype) {
      return host.Persistent(name, BufferRole::kInput, sizes, dtype);
    };
    for (std::size_t i = 0; i < config.text_encoders.size(); ++i) {
      token_ids_.push_back(input(i == 0 ? "token_ids" : "token_ids_2",
                                 {prompt_count, config.text_encoders[i].position_count},
                                 at::kLong));
    }
    if (config.unet.HasAddition()) {
      state_.conditions.time_ids = input("time_ids", {SampleCount(), kTimeIdCount}, at::kFloat);
    }
    const std::vector<std::int64_t> latent_sizes = LatentSizes(workload, config.unet);
    noise_ = input("noise", latent_sizes, at::kFloat);
    sampler_steps_ =
        input("sampler_steps", {config.DoneStepCount(), static_cast<std::int64_t>(Column::kCount)},
              at::kFloat);
    initial_scale_ = input("initial_scale", {}, at::kFloat);
    if (IsGuided()) guidance_scale_ = input("guidance_scale", {}, at::kFloat);
    if (HasPicture()) {
      picture_ = input("picture",
                       {1, config.vae.picture_channel_count, workload.height_px, workload.width_px},
                       at::kFloat);
      picture_noise_ = input("picture_noise",
                             {1, latent_sizes[1], latent_sizes[2], latent_sizes[3]}, at::kFloat);
      picture_scale_ = input("picture_scale", {}, at::kFloat);
    }
  }

  bool HasPicture() const { return config_.picture_step_count > 0; }

  void EncodeText() {
    std::vector<at::Tensor> states;
    for (std::size_t i = 0; i < config_.text_encoders.size(); ++i) {
      const std::string name = i == 0 ? "text_encoder" : "text_encoder_2";
      const bool is_last = i + 1 == config_.text_encoders.size();
      const ModuleScope module(name);
      const TextStates encoded =
          RunTextEncoder(config_.text_encoders[i],
                         {.attention = unet_options_.attention,
                          .wants_last = !config_.HasPenultimateStates(),
                          .wants_penultimate = config_.HasPenultimateStates(),
                          .wants_pooled = is_last && config_.unet.HasAddition()},
                         weights_.at(name).Finder(), token_ids_[i]);
      states.push_back(config_.HasPenultimateStates() ? encoded.penultimate : encoded.last);
      if (encoded.pooled.defined()) state_.conditions.pooled_text = BesideZeros(encoded.pooled);
    }
    state_.conditions.text_states =
        BesideZeros(states.size() == 1 ? states.front() : at::cat(states, -1));

    const ModuleScope module("sampler");
    state_.latents = at::mul(noise_, initial_scale_);
    state_.step_index = at::zeros({1}, sampler_steps_.options().dtype(at::kLong));
    if (HasHistory()) state_.history = at::zeros_like(noise_);
  }

  /// The picture's latents, drawn from what the encoder says of them, and noise on top: in place of
  /// the noise alone.
  void EncodePicture() {
    at::Tensor moments;
    {
      const ModuleScope module("vae");
      moments = stint::EncodePicture(config_.vae, VaeAttention(unet_options_.attention),
                                     weights_.at("vae").Finder(), picture_.to(vae_dtype_));
    }
    const at::Tensor drawn = SampleLatents(config_.vae, moments.to(at::kFloat), picture_noise_);
    const ModuleScope module("sampler");
    state_.latents.add_(at::mul(drawn, picture_scale_));
  }

  void Denoise() {
    at::Tensor row;
    UnetInputs inputs = state_.conditions;
    {
      const ModuleScope module("sampler");
      row = at::index_select(sampler_steps_, 0, state_.step_index);
      const at::Tensor scaled = at::mul(state_.latents, At(row, Column::kInputScale));
      inputs.latents = (IsGuided() ? at::cat({scaled, scaled}, 0) : scaled).to(dtype_);
      inputs.timesteps = At(row, Column::kTimestep).expand({SampleCount()});
    }
    at::Tensor predicted;
    {
      const ModuleScope module("unet");
      predicted = RunUnet(config_.unet, unet_options_, weights_.at("unet").Finder(), inputs);
    }
    const ModuleScope module("sampler");
    predicted = predicted.to(at::kFloat);
    Step(row, IsGuided() ? Guide(predicted) : predicted);
  }

  void Decode(ProgramHost& host) {
    at::Tensor picture;
    {
      const ModuleScope module("vae");
      picture = DecodeLatents(config_.vae, VaeAttention(unet_options_.attention),
                              weights_.at("vae").Finder(), state_.latents.to(vae_dtype_));
    }
    const ModuleScope module("image");
    constexpr double kWhite = 255;
    picture = at::add(at::mul(picture.to(at::kFloat), 0.5), 0.5);
    picture = at::round(at::mul(at::clamp(picture, 0, 1), kWhite)).to(at::kByte);
    host.Mark(picture.permute({0, 2, 3, 1}).contiguous(), "image", BufferRole::kOutput);
    host.Mark(state_.latents, "latents", BufferRole::kOutput);
  }

 private:
  bool IsGuided() const { return config_.guidance != Guidance::kNone; }
  std::int64_t SampleCount() const { return config_.SamplesPerPicture() * workload_.batch_count; }
  bool HasHistory() const { return config_.scheduler.sampler == SamplerKind::kDpm2m; }

  static at::Tensor At(const at::Tensor& row, Column column) {
    return row.select(1, static_cast<std::int64_t>(column));
  }

  /// Of the prompts -> of all samples, where those without the prompt have zeros.
  at::Tensor BesideZeros(const at::Tensor& encoded) const {
    if (config_.guidance != Guidance::kZeros) return encoded;
    return at::cat({at::zeros_like(encoded), encoded}, 0);
  }

  /// predicted [2 b, channels, h, w], without the prompt and then with it -> [b, channels, h, w]
  at::Tensor Guide(const at::Tensor& predicted) const {
    const auto halves = at::chunk(predicted, 2, 0);
    const at::Tensor difference = at::sub(halves[1], halves[0]);
    return at::add(halves[0], at::mul(difference, guidance_scale_));
  }

  void Step(const at::Tensor& row, const at::Tensor& predicted) {
    const auto mix = [&](Column of_latents, Column of_predicted) {
      return at::add(at::mul(state_.latents, At(row, of_latents)),
                     at::mul(predicted, At(row, of_predicted)));
    };
    at::Tensor next = mix(Column::kNextLatents, Column::kNextPredicted);
    if (HasHistory()) {
      next = at::add(next, at::mul(state_.history, At(row, Column::kNextHistory)));
      state_.history.copy_(mix(Column::kSignalLatents, Column::kSignalPredicted));
    }
    state_.latents.copy_(next);
    state_.step_index.add_(1);
  }

  const Workload& workload_;
  const PipelineConfig& config_;
  UnetOptions unet_options_;
  at::ScalarType dtype_;
  at::ScalarType vae_dtype_;
  std::unordered_map<std::string, ComponentWeights> weights_;
  std::vector<at::Tensor> token_ids_;
  at::Tensor noise_;
  at::Tensor sampler_steps_;
  at::Tensor initial_scale_;
  at::Tensor guidance_scale_;  // Undefined without guidance;
  at::Tensor picture_;         // these, without a picture.
  at::Tensor picture_noise_;
  at::Tensor picture_scale_;
  State state_;
};

}  // namespace

void RunGenerate(ProgramHost& host, const Workload& workload, const PipelineConfig& config) {
  Generation generation(host, workload, config);
  const at::NoGradGuard no_grad;
  host.Phase("text_encode", 1, [&] { generation.EncodeText(); });
  if (generation.HasPicture()) host.Phase("encode", 1, [&] { generation.EncodePicture(); });
  host.Phase("denoise", config.DoneStepCount(), [&] { generation.Denoise(); });
  host.Phase("decode", 1, [&] { generation.Decode(host); });
}

torch::Tensor SamplerTable(const SamplerSchedule& schedule) {
  const at::Tensor table = at::empty({static_cast<std::int64_t>(schedule.steps.size()),
                                      static_cast<std::int64_t>(Column::kCount)});
  float* number = table.mutable_data_ptr<float>();
  for (const SamplerStep& step : schedule.steps) {
    for (const double value :
         {step.timestep, step.input_scale, step.next_latents, step.next_predicted,
          step.next_history, step.signal_latents, step.signal_predicted}) {
      *number++ = static_cast<float>(value);
    }
  }
  return table;
}

}  // namespace stint
