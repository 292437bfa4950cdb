#include "tests/executor/small_training.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <torch/csrc/autograd/generated/variable_factories.h>

#include <functional>
#include <stdexcept>

#include "dispatch/capture.h"
#include "dispatch/scope.h"

namespace stint {
namespace {

struct Parameter {
  std::string name{};
  at::Tensor weight{};
  at::Tensor first_moment{};
  at::Tensor second_moment{};
  at::Tensor step{};
};

Parameter MakeParameter(ProgramHost& host, const std::string& name,
                        const std::vector<std::int64_t>& sizes) {
  const auto state = [&](const std::string& what, const std::vector<std::int64_t>& state_sizes) {
    return host.Persistent(name + what, BufferRole::kOptimizerState, state_sizes, at::kFloat);
  };
  Parameter parameter{
      .name = name,
      .weight = host.Persistent(name, BufferRole::kWeight, sizes, at::kFloat),
      .first_moment = state(".exp_avg", sizes),
      .second_moment = state(".exp_avg_sq", sizes),
      .step = state(".step", {}),
  };
  parameter.weight.requires_grad_();
  return parameter;
}

void Update(ProgramHost& host, Parameter& parameter, const at::Tensor& learning_rate) {
  const at::NoGradGuard no_grad;
  const at::Tensor gradient = std::exchange(parameter.weight.mutable_grad(), at::Tensor());
  host.Mark(gradient, parameter.name, BufferRole::kGradient);
  at::_fused_adamw_({parameter.weight}, {gradient}, {parameter.first_moment},
                    {parameter.second_moment}, {}, {parameter.step}, learning_rate,
                    /*beta1=*/0.9, /*beta2=*/0.999, /*weight_decay=*/0.01, /*eps=*/1e-8,
                    /*amsgrad=*/false, /*maximize=*/false);
}

}  // namespace

Program SmallTraining(std::int64_t repeat_count) {
  return [repeat_count](ProgramHost& host) {
    const at::Tensor image = host.Persistent("image", BufferRole::kInput, {2, 4, 8, 8}, at::kFloat);
    const at::Tensor learning_rate = host.Persistent("lr", BufferRole::kInput, {}, at::kFloat);
    Parameter conv = MakeParameter(host, "conv.weight", {8, 4, 3, 3});
    Parameter linear = MakeParameter(host, "linear.weight", {16, 512});
    host.Phase("step", repeat_count, [&] {
      at::Tensor hidden;
      {
        const ModuleScope scope("conv");
        hidden = at::silu(at::conv2d(image, conv.weight, {}, 1, 1));
      }
      at::Tensor loss;
      {
        const ModuleScope scope("linear");
        const at::Tensor result = at::linear(hidden.flatten(1), linear.weight);
        loss = at::mse_loss(result, at::zeros_like(result));
      }
      // A repeated body ends as it began, so it leaves no output behind.
      if (repeat_count == 1) host.Mark(loss, "loss", BufferRole::kOutput);
      loss.backward();
      Update(host, linear, learning_rate);
      Update(host, conv, learning_rate);
    });
  };
}

LoadValue NamedValues() {
  return [](const Buffer& buffer, const torch::Tensor& value) {
    at::Generator generator = at::detail::createCPUGenerator(std::hash<std::string>()(buffer.name));
    value.copy_(at::rand(value.sizes(), generator, at::TensorOptions(at::kFloat)));
    if (buffer.role == BufferRole::kOptimizerState) value.mul_(0.01);
  };
}

Profile CaptureOn(const Program& program, DeviceRuntime& runtime) {
  runtime.SetDeterministic(true);
  Profile profile = CaptureProgram(program, runtime, {});
  profile.device = runtime.Describe();
  profile.is_deterministic = true;
  return profile;
}

BufferId FindBuffer(const Profile& profile, const std::string& name, BufferRole role) {
  for (std::size_t i = 0; i < profile.buffers.size(); ++i) {
    if (profile.buffers[i].name == name && profile.buffers[i].role == role) return BufferId(i);
  }
  throw std::runtime_error("no buffer " + name);
}

OpId FindOp(const Profile& profile, const std::string& name) {
  for (std::size_t i = 0; i < profile.ops.size(); ++i) {
    if (profile.ops[i].name == name) return OpId(i);
  }
  throw std::runtime_error("no op " + name);
}

}  // namespace stint
