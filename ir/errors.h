// The kinds of failure that throw: wrong input and our own bugs. An expected "no" (a budget that
// cannot be kept) is a value, see planner/solver.h.
#pragma once

#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>

namespace stint {

/// Wrong input: a file, a flag, a plan that reads a dead value. what() is
/// "profile.json:/ops/3/inputs: uses a tensor that no earlier op defines".
class InputError : public std::runtime_error {
 public:
  /// `where`: a path, a flag, a JSON pointer, or a path and a pointer joined by ":".
  InputError(const std::string& where, const std::string& fact)
      : std::runtime_error(where + ": " + fact), where_(where), fact_(fact) {}

  const std::string& where() const { return where_; }
  const std::string& fact() const { return fact_; }

 private:
  std::string where_;
  std::string fact_;
};

/// Our own bug if `condition` is false: throws std::logic_error with file and line, in every build
/// type.
inline void Check(bool condition, std::string_view what,
                  std::source_location location = std::source_location::current()) {
  if (!condition) {
    throw std::logic_error(std::string(location.file_name()) + ":" +
                           std::to_string(location.line()) + ": " + std::string(what));
  }
}

}  // namespace stint
