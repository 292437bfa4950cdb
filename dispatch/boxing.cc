#include "dispatch/boxing.h"

#include <ATen/ATen.h>
#include <ATen/ScalarOps.h>

#include "dispatch/dtypes.h"
#include "ir/errors.h"

namespace stint {
namespace {

using c10::TypeKind;

/// Boxes one recorded argument, a function for each kind.
struct Boxer {
  const BoxedType& type;
  c10::Device device;
  const std::string& where;

  bool Takes(std::initializer_list<TypeKind> kinds, bool is_list) const {
    return type.is_list == is_list &&
           std::find(kinds.begin(), kinds.end(), type.element->kind()) != kinds.end();
  }

  void Expect(bool fits, const char* what) const {
    if (!fits)
      throw InputError(where, std::string("is ") + what + ", but the op takes " + type.text);
  }

  c10::IValue operator()(const NoArgument&) const {
    const bool is_undefined_tensor = Takes({TypeKind::TensorType}, false);
    Expect(type.is_optional || is_undefined_tensor, "none");
    return type.is_optional ? c10::IValue() : c10::IValue(at::Tensor());
  }

  c10::IValue operator()(bool value) const {
    Expect(Takes({TypeKind::BoolType, TypeKind::NumberType}, false), "a boolean");
    return value;
  }

  c10::IValue operator()(std::int64_t value) const {
    if (Takes({TypeKind::FloatType}, false)) return static_cast<double>(value);
    Expect(Takes({TypeKind::IntType, TypeKind::NumberType}, false), "an integer");
    return value;
  }

  c10::IValue operator()(double value) const {
    Expect(Takes({TypeKind::FloatType, TypeKind::NumberType}, false), "a number");
    return value;
  }

  c10::IValue operator()(const std::string& value) const {
    Expect(Takes({TypeKind::StringType}, false), "a text");
    return value;
  }

  c10::IValue operator()(const TensorArgument&) const {
    Expect(Takes({TypeKind::TensorType}, false), "a tensor");
    return {};
  }

  c10::IValue operator()(const TensorListArgument& list) const {
    Expect(Takes({TypeKind::TensorType}, true), "a list of tensors");
    const bool has_none =
        std::find(list.tensors.begin(), list.tensors.end(), std::nullopt) != list.tensors.end();
    Expect(!has_none || type.is_list_of_optionals, "a list with missing tensors");
    return {};
  }

  c10::IValue operator()(const WrappedNumber& number) const {
    Expect(Takes({TypeKind::TensorType}, false), "a number in a tensor");
    const at::Tensor tensor = at::scalar_tensor(
        number.value, at::TensorOptions(DtypeFromName(number.dtype, where)).device(at::kCPU));
    tensor.unsafeGetTensorImpl()->set_wrapped_number(true);
    return tensor;
  }

  c10::IValue operator()(const DeviceArgument& argument) const {
    Expect(Takes({TypeKind::DeviceObjType}, false), "a device");
    const c10::Device recorded(argument.device);
    return recorded.is_cuda() ? device : recorded;
  }

  c10::IValue operator()(const IntListArgument& list) const {
    if (Takes({TypeKind::IntType}, true)) return c10::List<std::int64_t>(list.values);
    if (Takes({TypeKind::FloatType}, true)) {
      return c10::List<double>(std::vector<double>(list.values.begin(), list.values.end()));
    }
    return BoxMixed(list.values, "a list of integers");
  }

  c10::IValue operator()(const DoubleListArgument& list) const {
    if (Takes({TypeKind::FloatType}, true)) return c10::List<double>(list.values);
    return BoxMixed(list.values, "a list of numbers");
  }

  c10::IValue operator()(const BoolListArgument& list) const {
    Expect(Takes({TypeKind::BoolType}, true), "a list of booleans");
    c10::List<bool> values;
    for (const bool value : list.values) values.push_back(value);
    return values;
  }

  /// Scalar[]: each element keeps its own type. An empty list may be of any type.
  template <typename Element>
  c10::IValue BoxMixed(const std::vector<Element>& values, const char* what) const {
    Expect(Takes({TypeKind::NumberType}, true) || (type.is_list && values.empty()), what);
    c10::impl::GenericList list(type.element);
    for (const Element value : values) list.push_back(c10::IValue(value));
    return list;
  }
};

}  // namespace

BoxedType BoxedTypeOf(const c10::Argument& formal) {
  BoxedType boxed{.element = formal.type(), .text = formal.type()->str()};
  if (const auto optional = boxed.element->cast<c10::OptionalType>()) {
    boxed.is_optional = true;
    boxed.element = optional->getElementType();
  }
  if (const auto list = boxed.element->cast<c10::ListType>()) {
    boxed.is_list = true;
    boxed.element = list->getElementType();
    if (const auto optional = boxed.element->cast<c10::OptionalType>()) {
      boxed.is_list_of_optionals = true;
      boxed.element = optional->getElementType();
    }
  }
  boxed.is_generator = boxed.element->kind() == TypeKind::GeneratorType;
  return boxed;
}

c10::IValue BoxArgument(const Argument& actual, const BoxedType& type, c10::Device device,
                        const std::string& where) {
  return std::visit(Boxer{.type = type, .device = device, .where = where}, actual);
}

}  // namespace stint
