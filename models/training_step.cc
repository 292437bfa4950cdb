#include "models/training_step.h"

#include <ATen/ATen.h>

#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "dispatch/scope.h"
#include "models/noise_schedule.h"
#include "models/unet.h"
#include "models/workload_details.h"

namespace stint {
namespace {

constexpr double kBeta1 = 0.9;
constexpr double kBeta2 = 0.999;
constexpr double kWeightDecay = 1e-2;
constexpr double kEpsilon = 1e-8;

struct Parameter {
  std::string name{};
  at::Tensor weight{};
  at::Tensor exp_avg{};
  at::Tensor exp_avg_sq{};
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

struct Inputs {
  at::Tensor latents{};
  at::Tensor noise{};
  at::Tensor timesteps{};
  at::Tensor text_states{};
  at::Tensor alphas_cumprod{};
};

Inputs DeclareInputs(ProgramHost& host, const Workload& workload, const UnetConfig& config) {
  const std::vector<std::int64_t> latent_sizes = LatentSizes(workload, config);
  const auto input = [&](const std::string& name, const std::vector<std::int64_t>& sizes,
                         at::ScalarType dtype) {
    return host.Persistent(name, BufferRole::kInput, sizes, dtype);
  };
  return {
      .latents = input("latents", latent_sizes, at::kFloat),
      .noise = input("noise", latent_sizes, at::kFloat),
      .timesteps = input("timesteps", {workload.batch_count}, at::kLong),
      .text_states =
          input("text_states", {workload.batch_count, kTextTokenCount, config.cross_attention_size},
                ScalarTypeOf(workload)),
      .alphas_cumprod =
          host.Persistent("alphas_cumprod", BufferRole::kConstant, {kTimestepCount}, at::kFloat),
  };
}

/// The mean squared error of the predicted noise, in float32 whatever the UNet's dtype.
at::Tensor Loss(const Inputs& inputs, at::ScalarType dtype,
                const std::function<at::Tensor(const at::Tensor& noisy)>& run_unet) {
  at::Tensor noisy;
  {
    const ModuleScope module("add_noise");
    const at::Tensor alphas = at::index_select(inputs.alphas_cumprod, 0, inputs.timesteps);
    const at::Tensor latent_scale = at::sqrt(alphas).view({-1, 1, 1, 1});
    const at::Tensor noise_scale = at::sqrt(at::rsub(alphas, 1)).view({-1, 1, 1, 1});
    noisy = at::add(at::mul(latent_scale, inputs.latents), at::mul(noise_scale, inputs.noise));
    noisy = noisy.to(dtype);
  }
  const at::Tensor predicted = run_unet(noisy);
  const ModuleScope module("loss");
  return at::mse_loss(predicted.to(at::kFloat), inputs.noise);
}

/// "conv_in.weight" -> "conv_in".
std::string ModuleOf(const std::string& weight_name) {
  return weight_name.substr(0, weight_name.rfind('.'));
}

/// Updates in the order in which gradients become final, so that memory falls from the first on.
void UpdateParameters(ProgramHost& host, const std::vector<Parameter>& parameters, at::Tensor step,
                      const at::Tensor& learning_rate) {
  const at::NoGradGuard no_grad;
  {
    const ModuleScope module("optimizer");
    step.add_(1);
  }
  for (auto parameter = parameters.rbegin(); parameter != parameters.rend(); ++parameter) {
    const ModuleScope module(ModuleOf(parameter->name));
    host.Mark(parameter->weight.grad(), parameter->name, BufferRole::kGradient);
    at::_fused_adamw_({parameter->weight}, {parameter->weight.grad()}, {parameter->exp_avg},
                      {parameter->exp_avg_sq}, /*max_exp_avg_sqs=*/at::TensorList{}, {step},
                      learning_rate, kBeta1, kBeta2, kWeightDecay, kEpsilon, /*amsgrad=*/false,
                      /*maximize=*/false);
    parameter->weight.mutable_grad().reset();
  }
}

}  // namespace

void RunTraining(ProgramHost& host, const Workload& workload, const UnetConfig& config) {
  const UnetOptions options = {.attention = AttentionOf(workload, host.device()),
                               .has_adapters = workload.task == "train-lora"};
  const at::ScalarType dtype = ScalarTypeOf(workload);

  std::unordered_map<std::string, at::Tensor> weights;
  const auto declare = [&](const WeightSpec& spec, BufferRole role, const char* suffix) {
    return host.Persistent(spec.name + suffix, role, spec.sizes, dtype);
  };
  const std::vector<WeightSpec> base_specs = UnetWeights(config);
  for (const WeightSpec& spec : base_specs) {
    weights.emplace(spec.name, declare(spec, BufferRole::kWeight, ""));
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
    });
  }
  const at::Tensor step = host.Persistent("step", BufferRole::kOptimizerState, {}, at::kFloat);
  const at::Tensor learning_rate =
      host.Persistent("learning_rate", BufferRole::kInput, {}, at::kFloat);
  const Inputs inputs = DeclareInputs(host, workload, config);
  const TrainedParameters trained(std::move(parameters));

  const FindWeight find_weight = [&](const std::string& name) { return weights.at(name); };
  const auto run_unet = [&](const at::Tensor& noisy) {
    return RunUnet(config, options, find_weight, noisy, inputs.timesteps, inputs.text_states);
  };
  const auto run_micro_step = [&] {
    at::Tensor loss = Loss(inputs, dtype, run_unet);
    if (workload.micro_step_count > 1) {
      const ModuleScope module("loss");
      loss = at::div(loss, static_cast<double>(workload.micro_step_count));
    }
    loss.backward();
    return loss.detach();
  };
  at::Tensor loss_sum;
  const auto add_micro_step = [&] {
    const at::Tensor loss = run_micro_step();
    const ModuleScope module("loss");
    loss_sum.add_(loss);
  };
  const auto finish = [&] {
    host.Mark(loss_sum, "loss", BufferRole::kOutput);
    UpdateParameters(host, trained.parameters(), step, learning_rate);
  };

  if (workload.micro_step_count == 1) {
    host.Phase("step", 1, [&] {
      loss_sum = run_micro_step();
      finish();
    });
    return;
  }
  host.Phase("first", 1, [&] { loss_sum = run_micro_step(); });
  if (workload.micro_step_count > 2) {
    host.Phase("middle", workload.micro_step_count - 2, add_micro_step);
  }
  host.Phase("last", 1, [&] {
    add_micro_step();
    finish();
  });
}

}  // namespace stint
