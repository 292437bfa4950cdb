#include "dispatch/replay.h"

#include <ATen/ATen.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "dispatch/boxing.h"
#include "dispatch/dtypes.h"
#include "ir/errors.h"

namespace stint {
namespace {

/// A tensor as an op's call rebuilds it.
struct TensorSlot {
  const Tensor* tensor = nullptr;
  c10::ScalarType dtype{};
  std::size_t storage = 0;  // Index into OpRecipe::buffers.
};

/// An argument made of tensors; the other ones are boxed once, in OpRecipe::stack.
struct TensorsSlot {
  std::size_t position = 0;                        // On the stack.
  std::vector<std::optional<TensorSlot>> slots{};  // One where it is no list.
  bool is_list = false;
  bool is_list_of_optionals = false;
};

struct OutputSlot {
  const Tensor* tensor = nullptr;  // Null where the op returns an undefined one.
  c10::ScalarType dtype{};
  bool is_new = false;  // The first output in a buffer that this op creates.
};

struct OpRecipe {
  c10::OperatorHandle handle;
  torch::jit::Stack stack{};               // Tensor arguments are empty here.
  std::vector<BufferId> buffers{};         // Of the tensor arguments, each once.
  std::vector<TensorsSlot> tensors{};      //
  std::vector<OutputSlot> outputs{};       //
  std::optional<std::size_t> generator{};  // Position of the generator of a random op.
};

c10::OperatorHandle FindOp(const Op& op, const std::string& where) {
  const std::size_t name_begin = op.name.find("::");
  const std::size_t dot = op.name.find('.', name_begin == std::string::npos ? 0 : name_begin);
  const c10::OperatorName name(op.name.substr(0, dot),
                               dot == std::string::npos ? "" : op.name.substr(dot + 1));
  auto handle = c10::Dispatcher::singleton().findSchema(name);
  if (!handle) throw InputError(where + "/name", "this LibTorch has no op '" + op.name + "'");
  return *std::move(handle);
}

c10::Device DeviceOf(DeviceKind kind) {
  if (kind == DeviceKind::kCpu) return c10::Device(c10::kCPU);
  return c10::impl::getDeviceGuardImpl(c10::kCUDA)->getDevice();
}

/// A seed of its own for each random op and iteration (the finaliser of SplitMix64).
std::uint64_t SeedOf(const RandomSource& source, std::int64_t iteration) {
  std::uint64_t word = static_cast<std::uint64_t>(source.seed) * 0x9e3779b97f4a7c15 +
                       static_cast<std::uint64_t>(source.offset) * 0xbf58476d1ce4e5b9 +
                       static_cast<std::uint64_t>(iteration) * 0x94d049bb133111eb;
  word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9;
  word = (word ^ (word >> 27)) * 0x94d049bb133111eb;
  return word ^ (word >> 31);
}

/// The tensors an op returned, lists flattened; numbers are left out.
std::vector<at::Tensor> TensorsIn(const torch::jit::Stack& results) {
  std::vector<at::Tensor> tensors;
  for (const c10::IValue& value : results) {
    if (value.isTensor()) {
      tensors.push_back(value.toTensor());
    } else if (value.isTensorList()) {
      for (const at::Tensor& tensor : value.toTensorVector()) tensors.push_back(tensor);
    }
  }
  return tensors;
}

at::Tensor MakeTensor(const TensorSlot& slot, const c10::Storage& storage) {
  const auto key = c10::computeDispatchKey(slot.dtype, c10::kStrided, storage.device());
  auto tensor = at::detail::make_tensor<c10::TensorImpl>(
      c10::Storage(storage), c10::DispatchKeySet(key), c10::scalarTypeToTypeMeta(slot.dtype));
  tensor.unsafeGetTensorImpl()->set_sizes_and_strides(slot.tensor->sizes, slot.tensor->strides,
                                                      slot.tensor->storage_offset);
  return tensor;
}

c10::IValue MakeArgument(const TensorsSlot& argument, const std::vector<c10::Storage>& storages) {
  const auto make = [&](const std::optional<TensorSlot>& slot) {
    return slot ? MakeTensor(*slot, storages[slot->storage]) : at::Tensor();
  };
  if (!argument.is_list) return make(argument.slots.front());
  if (argument.is_list_of_optionals) {
    c10::List<std::optional<at::Tensor>> list;
    list.reserve(argument.slots.size());
    for (const auto& slot : argument.slots) {
      list.push_back(slot ? std::optional(make(slot)) : std::nullopt);
    }
    return list;
  }
  c10::List<at::Tensor> list;
  list.reserve(argument.slots.size());
  for (const auto& slot : argument.slots) list.push_back(make(slot));
  return list;
}

}  // namespace

struct OpTable::Impl {
  Impl(const Profile& whole, const std::string& file)
      : profile(whole), where(file), device(DeviceOf(whole.device.kind)) {
    recipes.reserve(profile.ops.size());
    for (std::size_t i = 0; i < profile.ops.size(); ++i) {
      recipes.push_back(MakeRecipe(profile.ops[i], fmt::format("{}:/ops/{}", where, i)));
    }
  }

  OpRecipe MakeRecipe(const Op& op, const std::string& op_where) const;
  TensorSlot MakeSlot(TensorId id, OpRecipe& recipe) const;
  void AddOutputs(const Op& op, const std::string& op_where, OpRecipe& recipe) const;
  c10::Storage MakeStorage(BufferId id, void* address) const;
  bool IsUnusedSeed(OpId op, const OutputSlot& slot, const at::Tensor& tensor) const;
  void CheckOutput(OpId op, const OutputSlot& slot, const at::Tensor& tensor) const;

  const Profile& profile;
  std::string where;
  c10::Device device;
  std::vector<OpRecipe> recipes;
};

TensorSlot OpTable::Impl::MakeSlot(TensorId id, OpRecipe& recipe) const {
  const Tensor& tensor = profile.tensors[Index(id)];
  const auto found = std::find(recipe.buffers.begin(), recipe.buffers.end(), tensor.buffer);
  const std::size_t storage = static_cast<std::size_t>(found - recipe.buffers.begin());
  if (found == recipe.buffers.end()) recipe.buffers.push_back(tensor.buffer);
  return {.tensor = &tensor,
          .dtype = DtypeFromName(tensor.dtype, fmt::format("{}:/tensors/{}", where, Index(id))),
          .storage = storage};
}

OpRecipe OpTable::Impl::MakeRecipe(const Op& op, const std::string& op_where) const {
  OpRecipe recipe{.handle = FindOp(op, op_where)};
  const std::vector<c10::Argument>& formals = recipe.handle.schema().arguments();
  if (formals.size() != op.arguments.size()) {
    throw InputError(op_where + "/arguments",
                     fmt::format("has {} arguments, but {} takes {}", op.arguments.size(), op.name,
                                 formals.size()));
  }
  for (std::size_t i = 0; i < formals.size(); ++i) {
    const Argument& actual = op.arguments[i];
    const BoxedType type = BoxedTypeOf(formals[i]);
    recipe.stack.push_back(
        BoxArgument(actual, type, device, fmt::format("{}/arguments/{}", op_where, i)));
    if (type.is_generator) recipe.generator = i;
    if (const auto* single = std::get_if<TensorArgument>(&actual)) {
      recipe.tensors.push_back({.position = i, .slots = {MakeSlot(single->tensor, recipe)}});
    } else if (const auto* list = std::get_if<TensorListArgument>(&actual)) {
      TensorsSlot slot{
          .position = i, .is_list = true, .is_list_of_optionals = type.is_list_of_optionals};
      for (const auto& id : list->tensors) {
        slot.slots.push_back(id ? std::optional(MakeSlot(*id, recipe)) : std::nullopt);
      }
      recipe.tensors.push_back(std::move(slot));
    }
  }
  if (op.random && !recipe.generator) {
    throw InputError(op_where + "/random", op.name + " takes no generator");
  }
  if (!op.random) recipe.generator.reset();
  AddOutputs(op, op_where, recipe);
  return recipe;
}

void OpTable::Impl::AddOutputs(const Op& op, const std::string& op_where, OpRecipe& recipe) const {
  std::vector<BufferId> known = recipe.buffers;
  for (std::size_t i = 0; i < op.outputs.size(); ++i) {
    if (!op.outputs[i]) {
      recipe.outputs.push_back({});
      continue;
    }
    const Tensor& tensor = profile.tensors[Index(*op.outputs[i])];
    const bool is_new = std::find(known.begin(), known.end(), tensor.buffer) == known.end();
    if (is_new) known.push_back(tensor.buffer);
    recipe.outputs.push_back(
        {.tensor = &tensor,
         .dtype = DtypeFromName(tensor.dtype, fmt::format("{}/outputs/{}", op_where, i)),
         .is_new = is_new});
  }
}

c10::Storage OpTable::Impl::MakeStorage(BufferId id, void* address) const {
  const Buffer& buffer = profile.buffers[Index(id)];
  const c10::Device place = buffer.is_host ? c10::Device(c10::kCPU) : device;
  return c10::Storage(c10::Storage::use_byte_size_t(), static_cast<std::size_t>(buffer.size_bytes),
                      c10::DataPtr(address, place),
                      /*allocator=*/nullptr, /*resizable=*/false);
}

/// Whether it is the seed of no dropout, which lies in host memory but for while a graph is
/// captured. Nobody reads it.
bool OpTable::Impl::IsUnusedSeed(OpId op, const OutputSlot& slot, const at::Tensor& tensor) const {
  return profile.buffers[Index(slot.tensor->buffer)].is_host && !profile.ops[Index(op)].random &&
         tensor.defined() && tensor.device() == device && tensor.scalar_type() == at::kLong &&
         tensor.numel() == 1;
}

void OpTable::Impl::CheckOutput(OpId op, const OutputSlot& slot, const at::Tensor& tensor) const {
  const Tensor& recorded = *slot.tensor;
  const bool is_host = profile.buffers[Index(recorded.buffer)].is_host;
  if (tensor.defined() && tensor.device() != (is_host ? c10::Device(c10::kCPU) : device)) {
    throw InputError(fmt::format("{}:/ops/{}/outputs", where, Index(op)),
                     fmt::format("{} returned a tensor on {}, not where it was recorded: some ops "
                                 "do so while a graph is captured (try --no-graph)",
                                 profile.ops[Index(op)].name, tensor.device().str()));
  }
  if (tensor.defined() && tensor.scalar_type() == slot.dtype && tensor.sizes() == recorded.sizes &&
      tensor.strides() == recorded.strides && tensor.storage_offset() == recorded.storage_offset) {
    return;
  }
  throw InputError(
      fmt::format("{}:/ops/{}/outputs", where, Index(op)),
      fmt::format(
          "{} returned {}, where the profile says {} [{}] with strides [{}]",
          profile.ops[Index(op)].name,
          tensor.defined()
              ? fmt::format("{} [{}] with strides [{}]", DtypeName(tensor.scalar_type()),
                            fmt::join(tensor.sizes(), ", "), fmt::join(tensor.strides(), ", "))
              : "nothing",
          recorded.dtype, fmt::join(recorded.sizes, ", "), fmt::join(recorded.strides, ", ")));
}

OpTable::OpTable(const Profile& profile, const std::string& where)
    : impl_(std::make_unique<Impl>(profile, where)) {}

OpTable::~OpTable() = default;

void OpTable::Call(OpId op, std::int64_t iteration,
                   const std::function<void*(BufferId)>& address_of,
                   const std::function<void(BufferId, void* data)>& on_output) const {
  const OpRecipe& recipe = impl_->recipes[Index(op)];
  std::vector<c10::Storage> storages;
  storages.reserve(recipe.buffers.size());
  for (const BufferId id : recipe.buffers) {
    storages.push_back(impl_->MakeStorage(id, address_of(id)));
  }
  torch::jit::Stack stack = recipe.stack;
  for (const TensorsSlot& argument : recipe.tensors) {
    stack[argument.position] = MakeArgument(argument, storages);
  }
  if (recipe.generator) {
    at::Generator generator = at::globalContext().defaultGenerator(impl_->device).clone();
    generator.set_current_seed(SeedOf(*impl_->profile.ops[Index(op)].random, iteration));
    stack[*recipe.generator] = std::move(generator);
  }
  {
    const at::NoGradGuard no_grad;
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    recipe.handle.callBoxed(stack);
  }
  const std::vector<at::Tensor> results = TensorsIn(stack);
  Check(results.size() == recipe.outputs.size(), "an op returns as many tensors as recorded");
  for (std::size_t i = 0; i < results.size(); ++i) {
    const OutputSlot& slot = recipe.outputs[i];
    if (slot.tensor == nullptr || impl_->IsUnusedSeed(op, slot, results[i])) continue;
    impl_->CheckOutput(op, slot, results[i]);
    if (slot.is_new) on_output(slot.tensor->buffer, results[i].storage().mutable_data());
  }
}

}  // namespace stint
