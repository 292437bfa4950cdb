#include "dispatch/op_call.h"

#include <ATen/core/List.h>
#include <ATen/core/Tensor.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "dispatch/dtypes.h"
#include "ir/errors.h"

namespace stint {
namespace {

/// Whether `tensor` is a number that PyTorch wrapped and that is no part of the program's memory.
bool IsWrappedNumber(const at::Tensor& tensor) {
  return tensor.unsafeGetTensorImpl()->is_wrapped_number();
}

bool IsPlain(const at::Tensor& tensor) {
  return tensor.layout() == c10::kStrided && tensor.has_storage() && !tensor.is_nested() &&
         !tensor.is_quantized() && !tensor.is_conj() && !tensor.is_neg();
}

/// Reads one call, argument by argument.
class CallReader {
 public:
  CallReader(std::uint64_t capture, const std::string& where, TensorTable& tensors)
      : capture_(capture), where_(where), tensors_(tensors) {}

  OpCall Read(const c10::OperatorHandle& op, const torch::jit::Stack& stack) {
    call_.signature = OpName(op);
    const std::vector<c10::Argument>& formals = op.schema().arguments();
    const auto first = stack.end() - static_cast<std::ptrdiff_t>(formals.size());
    for (std::size_t i = 0; i < formals.size(); ++i) {
      const std::size_t first_tensor = call_.tensors.size();
      call_.signature += ';';
      call_.arguments.push_back(ReadArgument(first[static_cast<std::ptrdiff_t>(i)]));
      const c10::AliasInfo* alias = formals[i].alias_info();
      if (alias != nullptr && alias->isWrite()) AddWrites(first_tensor);
    }
    return std::move(call_);
  }

 private:
  template <typename... Parts>
  void Sign(fmt::format_string<Parts...> text, Parts&&... parts) {
    fmt::format_to(std::back_inserter(call_.signature), text, std::forward<Parts>(parts)...);
  }

  void AddWrites(std::size_t first_tensor) {
    for (std::size_t k = first_tensor; k < call_.tensors.size(); ++k) {
      const BufferId buffer = call_.storages[call_.tensors[k].storage].buffer;
      const auto place = std::lower_bound(call_.writes.begin(), call_.writes.end(), buffer);
      if (place == call_.writes.end() || *place != buffer) call_.writes.insert(place, buffer);
    }
  }

  Argument ReadArgument(const c10::IValue& value) {
    if (value.isTensor()) return ReadTensor(value.toTensor());
    if (value.isNone() || value.isGenerator()) {
      Sign("none");
      return NoArgument{};
    }
    if (value.isBool()) return ReadNumber(value.toBool());
    if (value.isInt() || value.isSymInt()) return ReadNumber(value.toInt());
    if (value.isDouble() || value.isSymFloat()) return ReadNumber(value.toDouble());
    if (value.isString()) {
      Sign("'{}'", value.toStringRef());
      return value.toStringRef();
    }
    if (value.isDevice()) {
      Sign("{}", value.toDevice().str());
      return DeviceArgument{.device = value.toDevice().str()};
    }
    if (value.isList()) return ReadList(value.toList());
    Refuse(fmt::format("takes a {}, which a profile cannot hold", value.tagKind()));
  }

  template <typename Number>
  Argument ReadNumber(Number number) {
    // The letter keeps 1, 1.0 and true apart.
    Sign("{}{}",
         std::is_same_v<Number, bool>     ? 'b'
         : std::is_same_v<Number, double> ? 'd'
                                          : 'i',
         number);
    return number;
  }

  Argument ReadTensor(const at::Tensor& tensor) {
    if (!tensor.defined()) {
      Sign("none");
      return NoArgument{};
    }
    if (!IsWrappedNumber(tensor)) return TensorArgument{.tensor = AddTensor(tensor)};
    if (tensor.is_complex()) Refuse("takes a complex number");
    call_.has_wrapped_numbers = true;
    WrappedNumber number{.dtype = DtypeName(tensor.scalar_type())};
    number.value = tensor.item().toDouble();
    Sign("{}({})", number.dtype, number.value);
    return number;
  }

  TensorId AddTensor(const at::Tensor& tensor) {
    if (!IsPlain(tensor)) Refuse("takes a tensor that is not plain and strided");
    c10::StorageImpl* storage = tensor.storage().unsafeGetStorageImpl();
    const std::optional<BufferId> buffer = BufferOf(*storage, capture_);
    if (!buffer) {
      Refuse(
          fmt::format("reads a {} tensor of {} elements that the program did not make: "
                      "get it from ProgramHost::Persistent",
                      DtypeName(tensor.scalar_type()), tensor.numel()));
    }
    const auto known =
        std::find_if(call_.storages.begin(), call_.storages.end(),
                     [&](const ArgumentStorage& other) { return other.storage == storage; });
    const auto index = static_cast<std::size_t>(known - call_.storages.begin());
    const TensorShape shape = ShapeOf(*tensor.unsafeGetTensorImpl());
    Sign("{}:{}[{}][{}]+{}", index, DtypeName(shape.dtype), fmt::join(shape.sizes, ","),
         fmt::join(shape.strides, ","), shape.storage_offset);
    if (known == call_.storages.end()) {
      call_.storages.push_back({.storage = storage, .buffer = *buffer});
      Sign("@{}{}", storage->nbytes(), c10::DeviceTypeName(storage->device_type(), true));
    }
    call_.tensors.push_back({.tensor = tensor.unsafeGetTensorImpl(), .storage = index});
    return tensors_.Add(*buffer, shape);
  }

  Argument ReadList(const c10::List<c10::IValue>& list) {
    const c10::Type& element = *list.elementType();
    const bool holds_tensors = element.kind() == c10::TypeKind::TensorType ||
                               (element.kind() == c10::TypeKind::OptionalType &&
                                element.containedType(0)->kind() == c10::TypeKind::TensorType);
    Sign("(");
    Argument argument = holds_tensors ? ReadTensors(list) : ReadNumbers(list);
    Sign(")");
    return argument;
  }

  Argument ReadTensors(const c10::List<c10::IValue>& list) {
    TensorListArgument argument;
    for (const c10::IValue& value : list.vec()) {
      if (value.isNone() || !value.toTensor().defined()) {
        Sign("none ");
        argument.tensors.emplace_back();
      } else {
        if (IsWrappedNumber(value.toTensor())) Refuse("takes a number within a list of tensors");
        argument.tensors.emplace_back(AddTensor(value.toTensor()));
      }
    }
    return argument;
  }

  Argument ReadNumbers(const c10::List<c10::IValue>& list) {
    const std::vector<c10::IValue> values = list.vec();
    const auto all = [&values](auto is) { return std::all_of(values.begin(), values.end(), is); };
    if (all([](const c10::IValue& value) { return value.isInt() || value.isSymInt(); })) {
      IntListArgument argument;
      for (const c10::IValue& value : values) argument.values.push_back(value.toInt());
      Sign("i{}", fmt::join(argument.values, ","));
      return argument;
    }
    if (all([](const c10::IValue& value) { return value.isDouble(); })) {
      DoubleListArgument argument;
      for (const c10::IValue& value : values) argument.values.push_back(value.toDouble());
      Sign("d{}", fmt::join(argument.values, ","));
      return argument;
    }
    if (all([](const c10::IValue& value) { return value.isBool(); })) {
      BoolListArgument argument;
      for (const c10::IValue& value : values) {
        argument.values.push_back(value.toBool());
        Sign("{}", value.toBool() ? 't' : 'f');
      }
      return argument;
    }
    Refuse("takes a list of values that are neither all integers, all numbers nor all booleans");
  }

  [[noreturn]] void Refuse(const std::string& fact) const { throw InputError(where_, fact); }

  std::uint64_t capture_;
  const std::string& where_;
  TensorTable& tensors_;
  OpCall call_{};
};

/// The elements of a list with the defined, unwrapped tensors replaced.
template <typename Element, typename Next>
c10::List<Element> ReplaceInList(const c10::List<Element>& list, const Next& next) {
  c10::List<Element> replaced;
  replaced.reserve(list.size());
  for (const Element& element : list.vec()) {
    bool is_defined = false;
    if constexpr (std::is_same_v<Element, at::Tensor>) {
      is_defined = element.defined();
    } else {
      is_defined = element && element->defined();
    }
    replaced.push_back(is_defined ? Element(next()) : element);
  }
  return replaced;
}

}  // namespace

std::string OpName(const c10::OperatorHandle& op) {
  const c10::OperatorName& name = op.operator_name();
  return name.overload_name.empty() ? name.name : name.name + "." + name.overload_name;
}

TensorId TensorTable::Add(BufferId buffer, const TensorShape& shape) {
  Tensor tensor{.buffer = buffer,
                .dtype = DtypeName(shape.dtype),
                .sizes = shape.sizes,
                .strides = shape.strides,
                .storage_offset = shape.storage_offset};
  std::string key =
      fmt::format("{}:{}[{}][{}]+{}", Index(buffer), tensor.dtype, fmt::join(tensor.sizes, ","),
                  fmt::join(tensor.strides, ","), tensor.storage_offset);
  const auto [place, is_new] =
      ids_.emplace(std::move(key), TensorId{static_cast<std::int32_t>(tensors_.size())});
  if (is_new) tensors_.push_back(std::move(tensor));
  return place->second;
}

OpCall ReadCall(const c10::OperatorHandle& op, const torch::jit::Stack& stack,
                std::uint64_t capture, const std::string& where, TensorTable& tensors) {
  return CallReader(capture, where, tensors).Read(op, stack);
}

std::vector<c10::IValue> ReplaceTensors(const c10::OperatorHandle& op,
                                        const torch::jit::Stack& stack,
                                        const std::function<at::Tensor(std::size_t)>& replace) {
  std::size_t count = 0;
  const auto next = [&] { return replace(count++); };
  const auto argument_count = static_cast<std::ptrdiff_t>(op.schema().arguments().size());
  std::vector<c10::IValue> arguments(stack.end() - argument_count, stack.end());
  for (c10::IValue& value : arguments) {
    if (value.isTensor()) {
      const at::Tensor& tensor = value.toTensor();
      if (tensor.defined() && !IsWrappedNumber(tensor)) value = next();
    } else if (value.isTensorList()) {
      value = ReplaceInList(value.toTensorList(), next);
    } else if (value.isOptionalTensorList()) {
      value = ReplaceInList(value.toOptionalTensorList(), next);
    }
  }
  return arguments;
}

}  // namespace stint
