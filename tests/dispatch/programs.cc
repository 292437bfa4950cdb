#include "tests/dispatch/programs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>
#include <stdexcept>

#include "dispatch/capture.h"
#include "dispatch/dtypes.h"
#include "dispatch/op_call.h"
#include "dispatch/op_handler.h"
#include "dispatch/scope.h"
#include "ir/errors.h"

namespace stint::fixtures {
namespace {

std::string Describe(const at::Tensor& tensor) {
  if (!tensor.defined()) return " none";
  return fmt::format(" {}[{}][{}]", DtypeName(tensor.scalar_type()), fmt::join(tensor.sizes(), ","),
                     fmt::join(tensor.strides(), ","));
}

/// Tensors in the last `count` values, lists flattened, undefined ones too.
std::vector<at::Tensor> TensorsOnTop(const torch::jit::Stack& stack, std::size_t count) {
  std::vector<at::Tensor> tensors;
  for (std::size_t i = stack.size() - count; i < stack.size(); ++i) {
    if (stack[i].isTensor()) tensors.push_back(stack[i].toTensor());
    if (stack[i].isTensorList()) {
      for (const at::Tensor& tensor : stack[i].toTensorVector()) tensors.push_back(tensor);
    }
  }
  return tensors;
}

class OpLog final : public OpHandler {
 public:
  void Handle(const c10::OperatorHandle& op, c10::DispatchKeySet keys,
              torch::jit::Stack* stack) override {
    if (op.hasKernelForDispatchKey(c10::DispatchKey::CompositeImplicitAutograd) &&
        !op.hasKernelForDispatchKey(c10::DispatchKey::CPU)) {
      return op.redispatchBoxed(keys, stack);
    }
    const ScopedUnhandled unhandled;
    std::set<const void*> arguments;  // Storages, as numbers: no reference is held.
    bool has_writes = op.schema().is_mutable() && !op.hasTag(at::Tag::inplace_view);
    for (const at::Tensor& tensor : TensorsOnTop(*stack, op.schema().arguments().size())) {
      if (tensor.defined()) arguments.insert(tensor.storage().unsafeGetStorageImpl());
    }
    op.redispatchBoxed(keys, stack);
    bool is_new = false;
    std::string line = OpName(op);
    for (const at::Tensor& tensor : TensorsOnTop(*stack, op.schema().returns().size())) {
      line += Describe(tensor);
      is_new = is_new ||
               (tensor.defined() && arguments.count(tensor.storage().unsafeGetStorageImpl()) == 0);
    }
    if (is_new || has_writes) ops.push_back(line);
  }

  OpList ops{};
};

struct Parameters {
  ProgramHost& host;
  std::vector<std::string> names{};
  std::vector<at::Tensor> tensors{};

  at::Tensor Add(const std::string& name, const std::vector<std::int64_t>& sizes) {
    names.push_back(name);
    tensors.push_back(host.Persistent(name, BufferRole::kWeight, sizes, at::kFloat));
    return tensors.back().requires_grad_();
  }
};

constexpr std::int64_t kWidth = 8;  // Channels; 2 heads of 4.

}  // namespace

Program TrainBlock(int micro_step_count) {
  return [micro_step_count](ProgramHost& host) {
    Parameters parameters{.host = host};
    const at::Tensor norm_weight = parameters.Add("norm.weight", {kWidth});
    const at::Tensor norm_bias = parameters.Add("norm.bias", {kWidth});
    const at::Tensor conv_weight = parameters.Add("conv.weight", {kWidth, kWidth, 3, 3});
    const at::Tensor conv_bias = parameters.Add("conv.bias", {kWidth});
    const at::Tensor attention_weight = parameters.Add("attention.weight", {3 * kWidth, kWidth});
    const at::Tensor out_weight = parameters.Add("attention.out.weight", {kWidth, kWidth});
    const at::Tensor x = host.Persistent("x", BufferRole::kInput, {2, kWidth, 6, 6}, at::kFloat);
    const at::Tensor y = host.Persistent("y", BufferRole::kInput, {2, 36, kWidth}, at::kFloat);
    const at::Tensor lr = host.Persistent("lr", BufferRole::kInput, {}, at::kFloat);

    const auto forward = [&] {
      at::Tensor h;
      {
        const ModuleScope scope("resnet");
        const at::Tensor normed = at::silu(at::group_norm(x, 4, norm_weight, norm_bias));
        const ModuleScope conv("conv");
        h = x + at::conv2d(normed, conv_weight, conv_bias, 1, 1);
      }
      const ModuleScope scope("attention");
      const at::Tensor tokens = h.flatten(2).transpose(1, 2);  // [2, 36, 8].
      std::vector<at::Tensor> qkv = at::linear(tokens, attention_weight).chunk(3, -1);
      for (at::Tensor& part : qkv) part = part.view({2, 36, 2, 4}).transpose(1, 2);
      const at::Tensor attended = at::scaled_dot_product_attention(qkv[0], qkv[1], qkv[2]);
      return tokens + at::linear(attended.transpose(1, 2).reshape({2, 36, kWidth}), out_weight);
    };
    for (int i = 0; i < micro_step_count; ++i) {
      host.Phase("micro" + std::to_string(i), 1, [&] {
        const at::Tensor loss = at::mse_loss(forward(), y) * 0.5;
        host.Mark(loss, "loss" + std::to_string(i), BufferRole::kOutput);
        loss.backward();
      });
    }
    host.Phase("update", 1, [&] {
      const at::NoGradGuard no_grad;
      const ModuleScope scope("optimizer");
      for (std::size_t i = 0; i < parameters.tensors.size(); ++i) {
        const at::Tensor& weight = parameters.tensors[i];
        const std::string& name = parameters.names[i];
        const auto state = [&](const std::string& suffix, std::vector<std::int64_t> sizes) {
          return host.Persistent(name + suffix, BufferRole::kOptimizerState, sizes, at::kFloat);
        };
        const at::Tensor gradient = weight.grad();
        host.Mark(gradient, name, BufferRole::kGradient);
        at::Tensor mean = state(".exp_avg", weight.sizes().vec());
        at::Tensor variance = state(".exp_avg_sq", weight.sizes().vec());
        at::Tensor step = state(".step", {});
        step.add_(1);
        at::_fused_adamw_({weight}, {gradient}, {mean}, {variance}, {}, {step}, lr, 0.9, 0.999,
                          0.01, 1e-8, /*amsgrad=*/false, /*maximize=*/false);
        weight.mutable_grad().reset();
      }
    });
  };
}

Program OnePhase(const std::function<void(ProgramHost&)>& body) {
  return [body](ProgramHost& host) { host.Phase("step", 1, [&] { body(host); }); };
}

OpList OrdinaryOps(const Program& program) {
  RealHost host;
  OpLog log;
  const ScopedOpHandler handler(log);
  program(host);
  return log.ops;
}

OpList RecordedOps(const Profile& profile) {
  OpList ops;
  for (const Op& op : profile.ops) {
    std::string line = op.name;
    for (const auto& output : op.outputs) {
      if (!output) {
        line += " none";
        continue;
      }
      const Tensor& tensor = profile.tensors[Index(*output)];
      line += fmt::format(" {}[{}][{}]", tensor.dtype, fmt::join(tensor.sizes, ","),
                          fmt::join(tensor.strides, ","));
    }
    ops.push_back(line);
  }
  return ops;
}

Profile Capture(const Program& program) {
  const std::unique_ptr<DeviceRuntime> runtime = MakeDeviceRuntime("cpu");
  return CaptureProgram(program, *runtime, {});
}

torch::Tensor RealHost::Persistent(const std::string& name, BufferRole /*role*/,
                                   const std::vector<std::int64_t>& sizes, torch::ScalarType dtype,
                                   torch::MemoryFormat format) {
  const ScopedUnhandled unhandled;
  const at::Generator generator = at::globalContext().defaultGenerator(at::kCPU).clone();
  generator.unsafeGetGeneratorImpl()->set_current_seed(std::hash<std::string>()(name));
  at::Tensor tensor =
      at::rand(sizes, generator, at::TensorOptions(at::kFloat)).to(dtype).contiguous(format);
  persistents[name] = tensor;
  return tensor;
}

void RealHost::Phase(const std::string& /*name*/, std::int64_t repeat_count,
                     const std::function<void()>& body) {
  for (std::int64_t i = 0; i < repeat_count; ++i) body();
}

void RealHost::Mark(const torch::Tensor& tensor, const std::string& name, BufferRole role) {
  const ScopedUnhandled unhandled;
  outputs[role == BufferRole::kGradient ? "grad:" + name : name] = tensor.detach().clone();
}

const Buffer& FindBuffer(const Profile& profile, const std::string& name, BufferRole role) {
  for (const Buffer& buffer : profile.buffers) {
    if (buffer.name == name && buffer.role == role) return buffer;
  }
  throw std::out_of_range("no buffer " + name);
}

const Op& FindOp(const Profile& profile, const std::string& name) {
  const Op* found = nullptr;
  for (const Op& op : profile.ops) {
    if (op.name != name) continue;
    if (found != nullptr) throw std::out_of_range("more than one op " + name);
    found = &op;
  }
  if (found == nullptr) throw std::out_of_range("no op " + name);
  return *found;
}

std::string Refusal(const Program& program) {
  try {
    Capture(program);
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace stint::fixtures
