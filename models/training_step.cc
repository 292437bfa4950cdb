#include "models/training_step.h"

#include <ATen/ATen.h>

#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "dispatch/scope.h"
#include "models/gradient_norm.h"
#include "models/noise_schedule.h"
#include "models/unet.h"
#include "models/workload_details.h"

namespace stint {
namespace {

struct Parameter {
  std::string name{};
  at::Tensor weight{};
  at::Tensor exp_avg{};
  at::Tensor exp_avg_sq{};
  at::Tensor ema{};         // Float32; undefined without EMA.
  std::int64_t number = 0;  // Among all parameters, however they are grouped.
};

/// Parameters that collect gradients as long as this lives; afterwards their tensors, which belong
/// to the host, are as they were.
class TrainedParameters {
 public:
  explicit TrainedParameters(std::vector<Parameter> parameters)
      : parameters_(std::move(parameters)) {
    for (const Parameter& parameter : parameters_) parameter.weight.set_requires_grad(true);
  }
  ~TrainedParameters() {
    for (const Parameter& parameter : parameters_) {
      parameter.weight.mutable_grad().reset();
      parameter.weight.set_requires_grad(false);
    }
  }
  TrainedParameters(const TrainedParameters&) = delete;
  TrainedParameters& operator=(const TrainedParameters&) = delete;

  const std::vector<Parameter>& parameters() const { return parameters_; }

 private:
  std::vector<Parameter> parameters_;
};

/// Of all micro-steps, or of one.
struct Inputs {
  at::Tensor latents{};
  at::Tensor noise{};
  at::Tensor timesteps{};
  at::Tensor loss_weights{};
  UnetInputs conditions{};
  at::Tensor alphas_cumprod{};
};

Inputs DeclareInputs(ProgramHost& host, const Workload& workload, const UnetConfig& config) {
  const std::int64_t sample_count = workload.micro_step_count * workload.batch_count;
  std::vector<std::int64_t> latent_sizes = LatentSizes(workload, config);
  latent_sizes[0] = sample_count;
  const auto input = [&](const std::string& name, const std::vector<std::int64_t>& sizes,
                         at::ScalarType dtype) {
    return host.Persistent(name, BufferRole::kInput, sizes, dtype);
  };
  return {
      .latents = input("latents", latent_sizes, at::kFloat),
      .noise = input("noise", latent_sizes, at::kFloat),
      .timesteps = input("timesteps", {sample_count}, at::kLong),
      .loss_weights = input("loss_weights", {sample_count}, at::kFloat),
      .conditions = DeclareConditions(host, workload, config, sample_count),
      .alphas_cumprod =
          host.Persistent("alphas_cumprod", BufferRole::kConstant, {kTimestepCount}, at::kFloat),
  };
}

/// Those of the micro-step whose number `index`, int64 [1], holds: which one it is, the device
/// knows, so that a phase that is repeated reads other samples each time.
Inputs SelectMicroStep(const Inputs& all, std::int64_t micro_step_count, const at::Tensor& index) {
  const ModuleScope module("micro_step");
  const auto select = [&](const at::Tensor& samples) {
    if (!samples.defined()) return samples;
    std::vector<std::int64_t> sizes = samples.sizes().vec();
    sizes[0] /= micro_step_count;
    sizes.insert(sizes.begin(), micro_step_count);
    return at::index_select(samples.view(sizes), 0, index).select(0, 0);
  };
  return {.latents = select(all.latents),
          .noise = select(all.noise),
          .timesteps = select(all.timesteps),
          .loss_weights = select(all.loss_weights),
          .conditions = {.text_states = select(all.conditions.text_states),
                         .pooled_text = select(all.conditions.pooled_text),
                         .time_ids = select(all.conditions.time_ids)},
          .alphas_cumprod = all.alphas_cumprod};
}

/// The weighted mean squared error of what was predicted, in float32 whatever the UNet's dtype.
at::Tensor Loss(const Inputs& inputs, at::ScalarType dtype, Prediction prediction,
                const std::function<at::Tensor(const at::Tensor& noisy)>& run_unet) {
  at::Tensor noisy;
  at::Tensor target = inputs.noise;
  {
    const ModuleScope module("add_noise");
    const at::Tensor alphas = at::index_select(inputs.alphas_cumprod, 0, inputs.timesteps);
    const at::Tensor latent_scale = at::sqrt(alphas).view({-1, 1, 1, 1});
    const at::Tensor noise_scale = at::sqrt(at::rsub(alphas, 1)).view({-1, 1, 1, 1});
    noisy = at::add(at::mul(latent_scale, inputs.latents), at::mul(noise_scale, inputs.noise));
    noisy = noisy.to(dtype);
    if (prediction == Prediction::kVelocity) {
      target = at::sub(at::mul(latent_scale, inputs.noise), at::mul(noise_scale, inputs.latents));
    }
  }
  const at::Tensor predicted = run_unet(noisy);
  const ModuleScope module("loss");
  const at::Tensor errors = at::mse_loss(predicted.to(at::kFloat), target, at::Reduction::None);
  return at::mean(at::mul(errors, inputs.loss_weights.view({-1, 1, 1, 1})));
}

/// "conv_in.weight" -> "conv_in".
std::string ModuleOf(const std::string& weight_name) {
  return weight_name.substr(0, weight_name.rfind('.'));
}

/// Parameters that one update covers.
using UpdateGroup = std::vector<Parameter>;

/// The parameters in the order in which their gradients become final, in runs of together at most
/// `max_bytes` or of one parameter.
std::vector<UpdateGroup> GroupForUpdates(const std::vector<Parameter>& parameters,
                                         std::int64_t max_bytes) {
  std::vector<UpdateGroup> groups;
  std::int64_t open_bytes = 0;
  for (auto parameter = parameters.rbegin(); parameter != parameters.rend(); ++parameter) {
    const auto size_bytes = static_cast<std::int64_t>(parameter->weight.nbytes());
    if (groups.empty() || open_bytes + size_bytes > max_bytes) {
      groups.emplace_back();
      open_bytes = 0;
    }
    groups.back().push_back(*parameter);
    open_bytes += size_bytes;
  }
  return groups;
}

/// `grad_scale` divides the gradients, if it is there.
void UpdateParameters(ProgramHost& host, const UpdateGroup& group, const at::Tensor& step,
                      const at::Tensor& learning_rate, const std::optional<at::Tensor>& grad_scale,
                      bool is_rounded_at_random) {
  const ModuleScope module(ModuleOf(group.front().name));
  AdamWTensors tensors;
  for (const Parameter& parameter : group) {
    tensors.weights.push_back(parameter.weight);
    tensors.gradients.push_back(parameter.weight.grad());
    tensors.exp_avgs.push_back(parameter.exp_avg);
    tensors.exp_avg_sqs.push_back(parameter.exp_avg_sq);
    if (is_rounded_at_random) tensors.rounding_keys.push_back(parameter.number);
  }
  AdamWStep(tensors, step, learning_rate, grad_scale, kTrainingAdamW);
  for (const Parameter& parameter : group) {
    // Clipping has scaled it in place.
    host.Mark(parameter.weight.grad(), parameter.name, BufferRole::kGradient);
    parameter.weight.mutable_grad().reset();
  }
}

/// Moves averages to the updated weights by `ema_rate` of the way, float32 []; nothing to do if
/// that is undefined.
void UpdateAverages(const UpdateGroup& group, const at::Tensor& ema_rate) {
  if (!ema_rate.defined()) return;
  const ModuleScope module(ModuleOf(group.front().name));
  for (const Parameter& parameter : group) {
    parameter.ema.lerp_(parameter.weight.to(at::kFloat), ema_rate);
  }
}

/// The optimizer of one program run.
class Optimizer {
 public:
  Optimizer(const Workload& workload, const std::vector<Parameter>& parameters, at::Tensor step,
            at::Tensor learning_rate, at::Tensor ema_rate)
      : groups_(GroupForUpdates(parameters, workload.update_group_bytes)),
        step_(std::move(step)),
        learning_rate_(std::move(learning_rate)),
        ema_rate_(std::move(ema_rate)),
        clip_norm_(workload.clip_norm),
        is_rounded_at_random_(workload.rounding == "stochastic") {}

  /// The next backward pass makes final gradients.
  void ExpectFinalGradients() {
    if (clip_norm_ == 0) return;
    std::vector<std::vector<at::Tensor>> weights(groups_.size());
    for (std::size_t i = 0; i < groups_.size(); ++i) {
      for (const Parameter& parameter : groups_[i]) weights[i].push_back(parameter.weight);
    }
    norms_ = std::make_unique<GradientNorms>(std::move(weights));
  }

  /// In the order in which gradients become final, so that memory falls from the first on.
  void Update(ProgramHost& host) {
    const at::NoGradGuard no_grad;
    std::optional<at::Tensor> grad_scale;
    {
      const ModuleScope module("optimizer");
      step_.add_(1);
      if (norms_ != nullptr) grad_scale = norms_->DivisorForNorm(clip_norm_);
      norms_.reset();
    }
    for (const UpdateGroup& group : groups_) {
      UpdateParameters(host, group, step_, learning_rate_, grad_scale, is_rounded_at_random_);
      UpdateAverages(group, ema_rate_);
    }
  }

 private:
  std::vector<UpdateGroup> groups_;
  at::Tensor step_;
  at::Tensor learning_rate_;
  at::Tensor ema_rate_;
  double clip_norm_;
  bool is_rounded_at_random_;
  std::unique_ptr<GradientNorms> norms_{};
};

}  // namespace

void RunTraining(ProgramHost& host, const Workload& workload, const UnetConfig& config) {
  const UnetOptions options = {.attention = AttentionOf(workload, host.device()),
                               .has_adapters = workload.task == "train-lora",
                               .is_nhwc = workload.layout == "nhwc"};
  const at::ScalarType dtype = ScalarTypeOf(workload);
  const at::ScalarType compute_dtype = ComputeTypeOf(workload);
  const Prediction prediction = PredictionOf(workload);

  std::unordered_map<std::string, at::Tensor> weights;
  const auto declare_as = [&](at::ScalarType type, const WeightSpec& spec, BufferRole role,
                              const char* suffix) {
    return host.Persistent(spec.name + suffix, role, spec.sizes, type,
                           FormatOf(spec, options.is_nhwc));
  };
  const auto declare = [&](const WeightSpec& spec, BufferRole role, const char* suffix) {
    return declare_as(dtype, spec, role, suffix);
  };
  const std::vector<WeightSpec> base_specs = UnetWeights(config);
  // What is frozen is only computed with.
  const at::ScalarType base_dtype = options.has_adapters ? compute_dtype : dtype;
  for (const WeightSpec& spec : base_specs) {
    weights.emplace(spec.name, declare_as(base_dtype, spec, BufferRole::kWeight, ""));
  }
  const std::vector<WeightSpec> trained_specs =
      options.has_adapters ? UnetAdapters(config, workload.lora_rank) : base_specs;
  std::vector<Parameter> parameters;
  for (const WeightSpec& spec : trained_specs) {
    if (options.has_adapters) {
      weights.emplace(spec.name, declare(spec, BufferRole::kWeight, ""));
    }
    parameters.push_back({
        .name = spec.name,
        .weight = weights.at(spec.name),
        .exp_avg = declare(spec, BufferRole::kOptimizerState, ".exp_avg"),
        .exp_avg_sq = declare(spec, BufferRole::kOptimizerState, ".exp_avg_sq"),
        .ema = workload.has_ema ? declare_as(at::kFloat, spec, BufferRole::kEma, kEmaSuffix)
                                : at::Tensor(),
        .number = std::ssize(parameters),
    });
  }
  const at::Tensor step = host.Persistent("step", BufferRole::kOptimizerState, {}, at::kFloat);
  const at::Tensor learning_rate =
      host.Persistent("learning_rate", BufferRole::kInput, {}, at::kFloat);
  at::Tensor ema_rate;
  if (workload.has_ema) {
    ema_rate = host.Persistent("ema_rate", BufferRole::kInput, {}, at::kFloat);
  }
  const Inputs inputs = DeclareInputs(host, workload, config);
  const TrainedParameters trained(std::move(parameters));
  Optimizer optimizer(workload, trained.parameters(), step, learning_rate, ema_rate);

  // Autocast: each use casts, so that what casts made may be dropped and made again.
  const FindWeight find_weight = [&](const std::string& name) {
    return weights.at(name).to(compute_dtype);
  };
  const bool has_micro_steps = workload.micro_step_count > 1;
  at::Tensor micro_step;  // int64 [1]: how many are done.
  const auto run_micro_step = [&](bool is_last) {
    const Inputs own =
        has_micro_steps ? SelectMicroStep(inputs, workload.micro_step_count, micro_step) : inputs;
    at::Tensor loss = Loss(own, compute_dtype, prediction, [&](const at::Tensor& noisy) {
      UnetInputs unet_inputs = own.conditions;
      unet_inputs.latents = noisy;
      unet_inputs.timesteps = own.timesteps;
      return RunUnet(config, options, find_weight, unet_inputs);
    });
    if (has_micro_steps) {
      const ModuleScope module("loss");
      loss = at::div(loss, static_cast<double>(workload.micro_step_count));
    }
    if (is_last) optimizer.ExpectFinalGradients();
    loss.backward();
    if (has_micro_steps && !is_last) {
      const ModuleScope module("micro_step");
      micro_step.add_(1);
    }
    return loss.detach();
  };
  at::Tensor loss_sum;
  const auto add_micro_step = [&](bool is_last) {
    const at::Tensor loss = run_micro_step(is_last);
    const ModuleScope module("loss");
    loss_sum.add_(loss);
  };
  const auto finish = [&] {
    host.Mark(loss_sum, "loss", BufferRole::kOutput);
    optimizer.Update(host);
  };

  if (!has_micro_steps) {
    host.Phase("step", 1, [&] {
      loss_sum = run_micro_step(true);
      finish();
    });
    return;
  }
  host.Phase("first", 1, [&] {
    {
      const ModuleScope module("micro_step");
      micro_step = at::zeros({1}, inputs.timesteps.options());
    }
    loss_sum = run_micro_step(false);
  });
  if (workload.micro_step_count > 2) {
    host.Phase("middle", workload.micro_step_count - 2, [&] { add_micro_step(false); });
  }
  host.Phase("last", 1, [&] {
    add_micro_step(true);
    finish();
  });
}

}  // namespace stint
