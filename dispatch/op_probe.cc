#include "dispatch/op_probe.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <unordered_map>
#include <utility>

#include "dispatch/allocator_hook.h"
#include "dispatch/dtypes.h"
#include "dispatch/scratch_memory.h"
#include "ir/errors.h"
#include "ir/units.h"

namespace stint {
namespace {

constexpr int kRunLimit = 3;  // Libraries keep memory at their first call, not at every one.

/// Writes down the requests of one run.
class ScriptListener final : public AllocatorListener {
 public:
  void* OnRequest(std::int64_t /*size_bytes*/) noexcept override { return nullptr; }

  void OnServedNatively(void* data, std::int64_t size_bytes) noexcept override {
    is_parallel_ = is_parallel_ || std::this_thread::get_id() != caller_;
    live_[data] = script_.size();
    script_.push_back({.size_bytes = size_bytes});
  }

  void OnFree(void* data) noexcept override {
    const auto found = live_.find(data);
    if (found == live_.end()) return;
    script_[found->second].freed_after_request = static_cast<std::int32_t>(script_.size()) - 1;
    live_.erase(found);
  }

  /// The request that lives at `data` becomes a new storage. False if there is none.
  bool Assign(const void* data, std::size_t new_storage) {
    const auto found = live_.find(const_cast<void*>(data));
    if (found == live_.end()) return false;
    script_[found->second].new_storage = new_storage;
    return true;
  }

  /// Sizes of the requests that live although the results are gone.
  std::vector<std::int64_t> KeptBytes() const {
    std::vector<std::int64_t> kept;
    for (const ScriptedRequest& request : script_) {
      if (request.freed_after_request < 0) kept.push_back(request.size_bytes);
    }
    return kept;
  }

  /// The script; what died with the results is theirs, not the op's to free. Threads that work side
  /// by side free in any order, so what they asked for shall not share a place: it lives on to the
  /// end of the op.
  std::vector<ScriptedRequest> Script() const {
    std::vector<ScriptedRequest> script = script_;
    for (ScriptedRequest& request : script) {
      if (is_parallel_) request.freed_after_request = static_cast<std::int32_t>(script.size()) - 1;
      if (request.new_storage) request.freed_after_request = -1;
    }
    return script;
  }

 private:
  const std::thread::id caller_ = std::this_thread::get_id();
  bool is_parallel_ = false;  // Other threads asked, too.
  std::vector<ScriptedRequest> script_{};
  std::unordered_map<void*, std::size_t> live_{};
};

/// Serves the requests of one run side by side.
class PoolListener final : public AllocatorListener {
 public:
  PoolListener(std::byte* data, std::int64_t size_bytes) : data_(data), size_bytes_(size_bytes) {}

  void Reset() { used_bytes_ = 0; }

  void* OnRequest(std::int64_t size_bytes) noexcept override {
    if (used_bytes_ + AlignUp(size_bytes) > size_bytes_) return nullptr;
    return data_ + std::exchange(used_bytes_, used_bytes_ + AlignUp(size_bytes));
  }
  void OnServedNatively(void* /*data*/, std::int64_t /*size_bytes*/) noexcept override {}
  void OnFree(void* /*data*/) noexcept override {}

 private:
  std::byte* data_;
  std::int64_t size_bytes_;
  std::int64_t used_bytes_ = 0;
};

/// Describes what an op returned, by the tensors that stood in for its arguments.
class ReturnReader {
 public:
  ReturnReader(const std::vector<at::Tensor>& stand_ins, const OpCall& call,
               const std::string& where)
      : stand_ins_(stand_ins), call_(call), where_(where) {}

  ReturnedValue Read(const c10::IValue& value) {
    if (value.isTensor()) return {.tensors = {ReadTensor(value.toTensor())}};
    if (value.isTensorList()) {
      ReturnedValue returned{.is_list = true};
      for (const at::Tensor& tensor : value.toTensorVector()) {
        returned.tensors.push_back(ReadTensor(tensor));
      }
      return returned;
    }
    return {.constant = value};
  }

  /// The new storages, in the order they were returned.
  const std::vector<c10::Storage>& new_storages() const { return new_storages_; }

 private:
  ReturnedTensor ReadTensor(const at::Tensor& tensor) {
    using Kind = ReturnedTensor::Kind;
    if (!tensor.defined()) return {.kind = Kind::kUndefined};
    if (tensor.layout() != c10::kStrided || tensor.is_quantized() || tensor.is_nested()) {
      throw InputError(where_, "returns a tensor that is not plain and strided");
    }
    for (std::size_t k = 0; k < stand_ins_.size(); ++k) {
      if (tensor.is_same(stand_ins_[k])) return {.kind = Kind::kArgument, .index = k};
    }
    ReturnedTensor returned{.shape = ShapeOf(*tensor.unsafeGetTensorImpl())};
    const c10::StorageImpl* storage = tensor.storage().unsafeGetStorageImpl();
    for (std::size_t k = 0; k < stand_ins_.size(); ++k) {
      if (storage != stand_ins_[k].storage().unsafeGetStorageImpl()) continue;
      returned.kind = Kind::kViewArgument;
      returned.index = call_.tensors[k].storage;
      return returned;
    }
    const auto known = std::find_if(
        new_storages_.begin(), new_storages_.end(),
        [&](const c10::Storage& other) { return other.unsafeGetStorageImpl() == storage; });
    returned.kind = Kind::kNew;
    returned.index = static_cast<std::size_t>(known - new_storages_.begin());
    if (known == new_storages_.end()) new_storages_.push_back(tensor.storage());
    return returned;
  }

  const std::vector<at::Tensor>& stand_ins_;
  const OpCall& call_;
  const std::string& where_;
  std::vector<c10::Storage> new_storages_{};
};

c10::DeviceType TypeOf(DeviceKind kind) {
  return kind == DeviceKind::kCuda ? c10::kCUDA : c10::kCPU;
}

at::Generator MakeGenerator(DeviceKind kind) {
  return kind == DeviceKind::kCuda ? at::detail::getCUDAHooks().getNewGenerator()
                                   : at::detail::createCPUGenerator();
}

/// Gives every generator argument, None or not, `generator`.
void ReplaceGenerators(const c10::OperatorHandle& op, const at::Generator& generator,
                       std::vector<c10::IValue>& arguments) {
  const std::vector<c10::Argument>& formals = op.schema().arguments();
  for (std::size_t i = 0; i < formals.size(); ++i) {
    c10::TypePtr type = formals[i].type();
    if (const auto optional = type->cast<c10::OptionalType>()) type = optional->getElementType();
    if (type->kind() == c10::TypeKind::GeneratorType) arguments[i] = generator;
  }
}

/// What one run with `listener` open returned, whose new storages it knows by their address.
void ReadReturns(const torch::jit::Stack& results, ReturnReader& reader, ScriptListener& listener,
                 DeviceKind device, const std::string& where, OpBehavior& behavior) {
  behavior.returns.clear();
  behavior.new_storages.clear();
  for (const c10::IValue& value : results) behavior.returns.push_back(reader.Read(value));
  for (std::size_t k = 0; k < reader.new_storages().size(); ++k) {
    const c10::Storage& storage = reader.new_storages()[k];
    const bool is_host = storage.device_type() != TypeOf(device);
    behavior.new_storages.push_back(
        {.size_bytes = static_cast<std::int64_t>(storage.nbytes()), .is_host = is_host});
    if (is_host || storage.nbytes() == 0) continue;
    if (!listener.Assign(storage.data(), k)) {
      throw InputError(where, "returns memory that it did not ask the allocator for");
    }
  }
}

/// Scratch memory for all arguments.
std::int64_t ArgumentBytes(const OpCall& call) {
  std::int64_t size_bytes = 0;
  for (const ArgumentStorage& argument : call.storages) {
    size_bytes += AlignUp(static_cast<std::int64_t>(argument.storage->nbytes()));
  }
  return size_bytes;
}

}  // namespace

OpProbe::OpProbe(DeviceRuntime& runtime, const CaptureOptions& options)
    : runtime_(runtime), options_(options), generator_(MakeGenerator(runtime.kind())) {}

std::vector<c10::Storage> OpProbe::MakeStorages(const OpCall& call, std::byte* memory) {
  std::vector<c10::Storage> storages;
  std::byte* next = memory;
  for (std::size_t i = 0; i < call.storages.size(); ++i) {
    c10::StorageImpl& argument = *call.storages[i].storage;
    const auto size_bytes = static_cast<std::int64_t>(argument.nbytes());
    if (argument.device_type() != TypeOf(runtime_.kind())) {
      storages.push_back(MakeHostStorage({}, size_bytes));
      continue;
    }
    const auto view =
        std::find_if(call.tensors.begin(), call.tensors.end(),
                     [i](const ArgumentTensor& tensor) { return tensor.storage == i; });
    const auto dtype = c10::typeMetaToScalarType(view->tensor->dtype());
    if (size_bytes > 0) runtime_.FillRandom(next, DtypeName(dtype), size_bytes, i + 1);
    // Nobody may resize it: the memory behind it belongs to the next one.
    storages.emplace_back(c10::Storage::use_byte_size_t(), argument.nbytes(),
                          c10::DataPtr(size_bytes > 0 ? next : nullptr, argument.device()),
                          /*allocator=*/nullptr, /*resizable=*/false);
    next += AlignUp(size_bytes);
  }
  return storages;
}

OpBehavior OpProbe::Run(const c10::OperatorHandle& op, const torch::jit::Stack& stack,
                        const OpCall& call, const std::string& where) {
  const c10::NoGradGuard no_grad;
  const at::AutoDispatchBelowADInplaceOrView below_autograd;  // As in replay.
  const ScratchMemory memory(runtime_, ArgumentBytes(call));
  const std::vector<c10::Storage> storages = MakeStorages(call, memory.data());
  std::vector<at::Tensor> stand_ins;
  for (const ArgumentTensor& argument : call.tensors) {
    stand_ins.push_back(MakeTensor(storages[argument.storage], ShapeOf(*argument.tensor)));
  }
  std::vector<c10::IValue> arguments =
      ReplaceTensors(op, stack, [&](std::size_t k) { return stand_ins[k]; });
  ReplaceGenerators(op, generator_, arguments);

  OpBehavior behavior;
  for (int run = 0;; ++run) {
    ScriptListener listener;
    const ScopedAllocatorListener listening(runtime_.kind(), listener);
    {
      torch::jit::Stack results = arguments;
      op.callBoxed(results);
      ReturnReader reader(stand_ins, call, where);
      ReadReturns(results, reader, listener, runtime_.kind(), where, behavior);
      if (options_.on_run) options_.on_run();
    }
    const std::vector<std::int64_t> kept_bytes = listener.KeptBytes();
    behavior.script = listener.Script();
    behavior.workspace_bytes.insert(behavior.workspace_bytes.end(), kept_bytes.begin(),
                                    kept_bytes.end());
    if (run > 0 && kept_bytes.empty()) break;
    if (run == kRunLimit) throw InputError(where, "keeps memory at every run");
  }
  for (std::size_t k = 0; k < stand_ins.size(); ++k) {
    if (stand_ins[k].sizes() != call.tensors[k].tensor->sizes() ||
        stand_ins[k].strides() != call.tensors[k].tensor->strides()) {
      throw InputError(where, "changes the shape of one of its arguments");
    }
  }
  if (options_.time_op) {
    behavior.timing = Time(
        [&] {
          torch::jit::Stack results = arguments;
          op.callBoxed(results);
        },
        behavior.script);
  }
  return behavior;
}

OpTiming OpProbe::Time(const std::function<void()>& issue,
                       const std::vector<ScriptedRequest>& script) {
  std::int64_t needed_bytes = 0;
  for (const ScriptedRequest& request : script) needed_bytes += AlignUp(request.size_bytes);
  const ScratchMemory memory(runtime_, needed_bytes);  // Warm, as an executor's arena is.
  PoolListener pool(memory.data(), needed_bytes);
  const ScopedAllocatorListener serving(runtime_.kind(), pool);
  return options_.time_op([&] {
    pool.Reset();
    issue();
  });
}

}  // namespace stint
