// Bytes and times as foreign files write them: integers or not, checked before they become ours.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>

namespace stint::foreign {

/// Larger amounts are damage: a pebibyte, or a week and a half.
inline constexpr std::int64_t kLargestAmount = std::int64_t{1} << 50;

/// `amount` rounded to an integer. `fail(fact)` throws if it is negative, not finite or too large.
template <typename Fail>
std::int64_t ToAmount(double amount, Fail&& fail) {
  if (!std::isfinite(amount)) fail("is not finite");
  if (amount < 0) fail("is negative");
  if (amount > static_cast<double>(kLargestAmount)) fail("is more than 2^50");
  return std::llround(amount);
}

}  // namespace stint::foreign
