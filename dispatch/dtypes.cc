#include "dispatch/dtypes.h"

#include <map>

#include "ir/errors.h"

namespace stint {

std::string DtypeName(c10::ScalarType dtype) { return c10::getDtypeNames(dtype).first; }

c10::ScalarType DtypeFromName(const std::string& name, const std::string& where) {
  static const auto dtypes = [] {
    std::map<std::string, c10::ScalarType> by_name;
    for (const c10::ScalarType dtype :
         {c10::kByte, c10::kChar, c10::kShort, c10::kInt, c10::kLong, c10::kUInt16, c10::kUInt32,
          c10::kUInt64, c10::kHalf, c10::kFloat, c10::kDouble, c10::kBFloat16, c10::kBool,
          c10::kFloat8_e4m3fn, c10::kFloat8_e5m2, c10::kComplexFloat, c10::kComplexDouble}) {
      by_name[DtypeName(dtype)] = dtype;
    }
    return by_name;
  }();
  const auto found = dtypes.find(name);
  if (found == dtypes.end()) throw InputError(where, "'" + name + "' is no element type");
  return found->second;
}

}  // namespace stint
