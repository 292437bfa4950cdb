// The names of element types in a profile, as LibTorch knows them.
#pragma once

#include <c10/core/ScalarType.h>

#include <string>

namespace stint {

/// "float32", "bfloat16", "int64", ...: PyTorch's own names.
std::string DtypeName(c10::ScalarType dtype);

/// @throws InputError (naming `where`) if no element type is called `name`.
c10::ScalarType DtypeFromName(const std::string& name, const std::string& where);

}  // namespace stint
