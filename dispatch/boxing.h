// Turns a recorded argument into the value that LibTorch's dispatcher takes for it, by the type
// that the op's schema declares. Internal to dispatch/.
#pragma once

#include <ATen/core/function_schema.h>
#include <ATen/core/ivalue.h>

#include <string>

#include "ir/profile.h"

namespace stint {

/// What a schema declares for one argument, as far as boxing needs it.
struct BoxedType {
  c10::TypePtr element{};  // Type of the value, or of each element of a list.
  bool is_optional = false;
  bool is_list = false;
  bool is_list_of_optionals = false;
  bool is_generator = false;
  std::string text{};  // As people write it: "SymInt[2]?".
};

BoxedType BoxedTypeOf(const c10::Argument& formal);

/// The value for `actual`; tensors are left as None, for the caller to fill in at each call. CUDA
/// devices become `device`, whatever their recorded index.
/// @throws InputError naming `where` if the schema takes something else there.
c10::IValue BoxArgument(const Argument& actual, const BoxedType& type, c10::Device device,
                        const std::string& where);

}  // namespace stint
