#include "dispatch/recorder.h"

#include <ATen/core/enum_tag.h>
#include <c10/core/MemoryFormat.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/accumulate_grad.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <utility>

#include "dispatch/scope.h"
#include "ir/errors.h"

namespace stint {
namespace {

std::uint64_t NextCapture() {
  static std::atomic<std::uint64_t> last_capture{0};
  return ++last_capture;
}

c10::Device CurrentDevice(DeviceKind kind) {
  if (kind == DeviceKind::kCpu) return c10::Device(c10::kCPU);
  return c10::impl::getDeviceGuardImpl(c10::kCUDA)->getDevice();
}

/// Written in terms of other ops, with no kernel of its own: recorded as those. Reaches the
/// recorder whole where autograd does not take it apart, as in inference mode.
bool IsComposite(const c10::OperatorHandle& op, c10::DeviceType device) {
  const auto key = device == c10::kCUDA ? c10::DispatchKey::CUDA : c10::DispatchKey::CPU;
  return op.hasKernelForDispatchKey(c10::DispatchKey::CompositeImplicitAutograd) &&
         !op.hasKernelForDispatchKey(key);
}

/// Returns views of its arguments, says its schema, or changes how an argument views its storage.
/// Neither touches memory.
bool IsView(const c10::OperatorHandle& op) {
  if (op.hasTag(at::Tag::inplace_view)) return true;
  const c10::FunctionSchema& schema = op.schema();
  if (schema.is_mutable()) return false;
  return std::any_of(
      schema.returns().begin(), schema.returns().end(),
      [](const c10::Argument& returned) { return returned.alias_info() != nullptr; });
}

bool Resizes(const c10::OperatorHandle& op) {
  const std::string& name = op.operator_name().name;
  return name.starts_with("aten::resize") || name.starts_with("aten::set_") ||
         name == "aten::_resize_output_";
}

/// The value of the argument called `name`; null if there is none.
const c10::IValue* FindArgument(const c10::OperatorHandle& op, const torch::jit::Stack& stack,
                                const std::string& name) {
  const std::optional<int> index = op.schema().argumentIndexWithName(name);
  if (!index) return nullptr;
  return &stack[stack.size() - op.schema().arguments().size() + static_cast<std::size_t>(*index)];
}

/// Returns values, or tensors whose sizes are values. Indexing is tagged so for boolean indices
/// only, which it looks up with nonzero.
bool ReadsValues(const c10::OperatorHandle& op, const torch::jit::Stack& stack) {
  if (op.operator_name().name.starts_with("aten::index")) {
    const c10::IValue* indices = FindArgument(op, stack, "indices");
    if (indices == nullptr || !indices->isList()) return false;
    const std::vector<c10::IValue> list = indices->toList().vec();
    return std::any_of(list.begin(), list.end(), [](const c10::IValue& index) {
      return index.isTensor() && index.toTensor().defined() &&
             (index.toTensor().scalar_type() == c10::kBool ||
              index.toTensor().scalar_type() == c10::kByte);
    });
  }
  return op.hasTag(at::Tag::data_dependent_output) || op.hasTag(at::Tag::dynamic_output_shape);
}

/// Whether this call draws random numbers. Attention carries the tag, but draws none without
/// dropout.
bool IsRandom(const c10::OperatorHandle& op, const torch::jit::Stack& stack) {
  if (!op.hasTag(at::Tag::nondeterministic_seeded)) return false;
  const c10::IValue* dropout = FindArgument(op, stack, "dropout_p");
  return dropout == nullptr || dropout->toDouble() != 0;
}

/// Of a tensor of these sizes that is contiguous in `format`.
std::vector<std::int64_t> StridesOf(const std::vector<std::int64_t>& sizes,
                                    c10::MemoryFormat format) {
  if (format == c10::MemoryFormat::ChannelsLast) return c10::get_channels_last_strides_2d(sizes);
  std::vector<std::int64_t> strides(sizes.size(), 1);
  for (std::size_t axis = sizes.size(); axis-- > 1;) {
    strides[axis - 1] = strides[axis] * std::max<std::int64_t>(sizes[axis], 1);
  }
  return strides;
}

bool HasNoEffect(const OpBehavior& behavior, const OpCall& call) {
  return behavior.new_storages.empty() && call.writes.empty();
}

}  // namespace

Recorder::Recorder(DeviceRuntime& runtime, const CaptureOptions& options)
    : runtime_(runtime),
      options_(options),
      device_(CurrentDevice(runtime.kind())),
      capture_(NextCapture()),
      probe_(runtime, options) {}

torch::Tensor Recorder::Persistent(const std::string& name, BufferRole role,
                                   const std::vector<std::int64_t>& sizes, torch::ScalarType dtype,
                                   torch::MemoryFormat format) {
  if (!persistent_names_.insert(name).second) throw InputError(name, "exists already");
  const std::vector<std::int64_t> strides = StridesOf(sizes, format);
  const std::int64_t size_bytes =
      c10::multiply_integers(sizes) * static_cast<std::int64_t>(c10::elementSize(dtype));
  const BufferId buffer =
      AddBuffer({.name = name, .role = role, .size_bytes = size_bytes, .is_persistent = true});
  const c10::Storage storage =
      MakeHollowStorage({.capture = capture_, .buffer = buffer}, size_bytes, device_);
  const TensorShape shape{.dtype = dtype, .sizes = sizes, .strides = strides};
  tensors_.Add(buffer, shape);  // Its first tensor is the whole of it, whatever views ops take.
  return MakeTensor(storage, shape);
}

void Recorder::Phase(const std::string& name, std::int64_t repeat_count,
                     const std::function<void()>& body) {
  const std::string where = fmt::format("phase '{}'", name);
  if (is_in_phase_) throw InputError(where, "begins inside another phase");
  if (repeat_count < 1) throw InputError(where, "is to run less than once");
  if (!has_phases_ && !profile_.ops.empty()) throw InputError(where, "begins after the first op");
  const OpId begin{static_cast<std::int32_t>(profile_.ops.size())};
  has_phases_ = true;
  is_in_phase_ = true;
  body();
  is_in_phase_ = false;
  const OpId end{static_cast<std::int32_t>(profile_.ops.size())};
  if (end == begin) throw InputError(where, "has no ops");
  profile_.phases.push_back(
      {.name = name, .begin = begin, .end = end, .repeat_count = repeat_count});
}

void Recorder::Mark(const torch::Tensor& tensor, const std::string& name, BufferRole role) {
  std::optional<BufferId> buffer;
  if (tensor.defined() && tensor.has_storage()) {
    buffer = BufferOf(*tensor.storage().unsafeGetStorageImpl(), capture_);
  }
  if (!buffer) {
    throw InputError(fmt::format("result '{}'", name), "is no tensor that the program made");
  }
  Buffer& marked = profile_.buffers[Index(*buffer)];
  marked.name = name;
  marked.role = role;
}

void Recorder::Handle(const c10::OperatorHandle& op, c10::DispatchKeySet keys,
                      torch::jit::Stack* stack) {
  if (IsComposite(op, device_.type())) return op.redispatchBoxed(keys, stack);

  const ScopedUnhandled unhandled;
  const Place place = CurrentPlace();
  const std::string where =
      place.module.empty() ? OpName(op) : fmt::format("{} in {}", OpName(op), place.module);
  if (Resizes(op)) throw InputError(where, "resizes a tensor or changes its memory");
  if (IsView(op)) return op.redispatchBoxed(keys, stack);
  if (ReadsValues(op, *stack)) {
    throw InputError(where, "copies data to the host: the ops that follow could depend on it");
  }
  OpCall call = ReadCall(op, *stack, capture_, where, tensors_);
  // Arithmetic among numbers only: PyTorch does it on the host, the program has it done already.
  if (call.tensors.empty() && call.has_wrapped_numbers) return op.redispatchBoxed(keys, stack);
  Record(op, stack, std::move(call), place, where);
}

Recorder::Place Recorder::CurrentPlace() const {
  const std::shared_ptr<torch::autograd::Node> node = torch::autograd::get_current_node();
  if (const auto* sum = dynamic_cast<torch::autograd::AccumulateGrad*>(node.get())) {
    // Ops that add up the gradient of "conv_in.weight" belong to "conv_in".
    std::string module;
    const at::Tensor& parameter = sum->variable;
    if (const auto buffer = BufferOf(*parameter.storage().unsafeGetStorageImpl(), capture_)) {
      const std::string& name = profile_.buffers[Index(*buffer)].name;
      const std::size_t dot = name.rfind('.');
      if (dot != std::string::npos) module = name.substr(0, dot);
    }
    return {.module = std::move(module), .is_backward = true};
  }
  return {.module = CurrentModulePath(), .is_backward = node != nullptr};
}

void Recorder::Record(const c10::OperatorHandle& op, torch::jit::Stack* stack, OpCall call,
                      const Place& place, const std::string& where) {
  const OpBehavior& behavior = BehaviorOf(op, *stack, call, where);
  CheckReturns(behavior, call, where);
  const bool is_recorded = !HasNoEffect(behavior, call);
  if (is_recorded) CheckPhase(where);

  std::vector<BufferId> new_buffers;
  for (const NewStorage& storage : behavior.new_storages) {
    new_buffers.push_back(AddBuffer({.role = BufferRole::kActivation,
                                     .size_bytes = storage.size_bytes,
                                     .is_host = storage.is_host}));
  }
  std::vector<c10::IValue> returns = MakeReturns(behavior, call, new_buffers);
  if (is_recorded) {
    const bool is_random = IsRandom(op, *stack);
    AddOp(op, behavior, std::move(call), place, new_buffers, returns);
    if (is_random)
      profile_.ops.back().random = RandomSource{.seed = 0, .offset = random_op_count_++};
  }
  torch::jit::drop(*stack, op.schema().arguments().size());
  std::move(returns.begin(), returns.end(), std::back_inserter(*stack));
}

const OpBehavior& Recorder::BehaviorOf(const c10::OperatorHandle& op,
                                       const torch::jit::Stack& stack, const OpCall& call,
                                       const std::string& where) {
  const auto known = behaviors_.find(call.signature);
  if (known != behaviors_.end()) return known->second;
  if (IsRandom(op, stack) && FindArgument(op, stack, "generator") == nullptr) {
    throw InputError(where, "draws random numbers, but takes no generator");
  }
  OpBehavior behavior = probe_.Run(op, stack, call, where);
  AddWorkspaces(OpName(op), behavior.workspace_bytes);
  return behaviors_.emplace(call.signature, std::move(behavior)).first->second;
}

void Recorder::AddWorkspaces(const std::string& op_name,
                             const std::vector<std::int64_t>& sizes_bytes) {
  for (const std::int64_t size_bytes : sizes_bytes) {
    const std::string name = "workspace:" + op_name;
    std::string unique_name = name;
    for (int i = 2; !persistent_names_.insert(unique_name).second; ++i) {
      unique_name = fmt::format("{}:{}", name, i);
    }
    AddBuffer({.name = unique_name,
               .role = BufferRole::kWorkspace,
               .size_bytes = size_bytes,
               .is_persistent = true});
  }
}

void Recorder::CheckPhase(const std::string& where) const {
  if (has_phases_ && !is_in_phase_) throw InputError(where, "runs outside of the phases");
}

void Recorder::CheckReturns(const OpBehavior& behavior, const OpCall& call,
                            const std::string& where) const {
  const bool is_on_device = std::any_of(call.storages.begin(), call.storages.end(),
                                        [this](const ArgumentStorage& argument) {
                                          return argument.storage->device_type() == device_.type();
                                        });
  const bool is_copy = where.starts_with("aten::_to_copy") || where.starts_with("aten::copy_");
  for (const NewStorage& storage : behavior.new_storages) {
    if (!storage.is_host) continue;
    if (is_copy) throw InputError(where, "copies data to the host");
    if (!is_on_device) throw InputError(where, "makes a tensor in host memory");
  }
  if (HasNoEffect(behavior, call)) return;
  for (const ReturnedValue& value : behavior.returns) {
    for (const ReturnedTensor& tensor : value.tensors) {
      if (tensor.kind != ReturnedTensor::Kind::kViewArgument) continue;
      if (!std::binary_search(call.writes.begin(), call.writes.end(),
                              call.storages[tensor.index].buffer)) {
        throw InputError(where, "returns a new tensor and a view of an argument");
      }
    }
  }
}

BufferId Recorder::AddBuffer(Buffer buffer) {
  profile_.buffers.push_back(std::move(buffer));
  return BufferId{static_cast<std::int32_t>(profile_.buffers.size()) - 1};
}

std::vector<c10::IValue> Recorder::MakeReturns(const OpBehavior& behavior, const OpCall& call,
                                               const std::vector<BufferId>& new_buffers) {
  std::vector<c10::Storage> storages;
  for (std::size_t k = 0; k < new_buffers.size(); ++k) {
    const StorageIdentity identity{.capture = capture_, .buffer = new_buffers[k]};
    const NewStorage& storage = behavior.new_storages[k];
    storages.push_back(storage.is_host ? MakeHostStorage(identity, storage.size_bytes)
                                       : MakeHollowStorage(identity, storage.size_bytes, device_));
  }
  const auto make = [&](const ReturnedTensor& tensor) -> at::Tensor {
    switch (tensor.kind) {
      case ReturnedTensor::Kind::kUndefined:
        return {};
      case ReturnedTensor::Kind::kArgument:
        return at::Tensor(
            c10::intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>::reclaim_copy(
                call.tensors[tensor.index].tensor));
      case ReturnedTensor::Kind::kViewArgument: {
        auto owned =
            c10::intrusive_ptr<c10::StorageImpl>::reclaim_copy(call.storages[tensor.index].storage);
        return MakeTensor(c10::Storage(std::move(owned)), tensor.shape);
      }
      case ReturnedTensor::Kind::kNew:
        return MakeTensor(storages[tensor.index], tensor.shape);
    }
    return {};
  };
  std::vector<c10::IValue> returns;
  for (const ReturnedValue& value : behavior.returns) {
    if (value.constant) {
      returns.push_back(*value.constant);
    } else if (value.is_list) {
      c10::List<at::Tensor> list;
      for (const ReturnedTensor& tensor : value.tensors) list.push_back(make(tensor));
      returns.emplace_back(std::move(list));
    } else {
      returns.emplace_back(make(value.tensors.front()));
    }
  }
  return returns;
}

void Recorder::AddOp(const c10::OperatorHandle& op, const OpBehavior& behavior, OpCall call,
                     const Place& place, const std::vector<BufferId>& new_buffers,
                     const std::vector<c10::IValue>& returns) {
  Op recorded{.name = OpName(op),
              .module = place.module,
              .arguments = std::move(call.arguments),
              .writes = std::move(call.writes),
              .is_backward = place.is_backward,
              .duration_ns = behavior.timing.duration_ns,
              .spread_ns = behavior.timing.spread_ns};
  const auto add_output = [&](const at::Tensor& tensor) {
    if (!tensor.defined()) {
      recorded.outputs.emplace_back();
      return;
    }
    const auto buffer = BufferOf(*tensor.storage().unsafeGetStorageImpl(), capture_);
    recorded.outputs.emplace_back(tensors_.Add(*buffer, ShapeOf(*tensor.unsafeGetTensorImpl())));
  };
  for (const c10::IValue& value : returns) {
    if (value.isTensor()) add_output(value.toTensor());
    if (value.isTensorList()) {
      for (const at::Tensor& tensor : value.toTensorVector()) add_output(tensor);
    }
  }
  for (const ScriptedRequest& request : behavior.script) {
    Request& added = recorded.requests.emplace_back(Request{.size_bytes = request.size_bytes});
    added.freed_after_request = request.freed_after_request;
    if (request.new_storage) added.buffer = new_buffers[*request.new_storage];
  }
  profile_.ops.push_back(std::move(recorded));
  if (options_.on_op) options_.on_op(static_cast<std::int64_t>(profile_.ops.size()));
}

Profile Recorder::Finish() {
  if (profile_.ops.empty()) throw InputError("program", "issues no ops");
  if (!has_phases_) {
    profile_.phases.push_back({.name = "step",
                               .begin = OpId{0},
                               .end = OpId{static_cast<std::int32_t>(profile_.ops.size())}});
  }
  profile_.tensors = tensors_.Take();
  return std::exchange(profile_, {});
}

}  // namespace stint
