#include "ir/units.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <limits>

#include "ir/errors.h"

namespace stint {
namespace {

constexpr std::int64_t kLargestBytes = std::int64_t{1} << 60;

struct Unit {
  const char* name = "";
  std::int64_t factor = 1;
};
constexpr std::array<Unit, 4> kByteUnits = {{{"B", 1},
                                             {"KiB", std::int64_t{1} << 10},
                                             {"MiB", std::int64_t{1} << 20},
                                             {"GiB", std::int64_t{1} << 30}}};
constexpr std::array<Unit, 4> kTimeUnits = {
    {{"ns", 1}, {"us", 1'000}, {"ms", 1'000'000}, {"s", 1'000'000'000}}};

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

std::int64_t FactorOf(std::string_view suffix, const std::string& where, std::string_view text) {
  for (const Unit& unit : kByteUnits) {
    if (suffix == unit.name) return unit.factor;
  }
  if (suffix.empty()) {
    throw InputError(where, fmt::format("'{}' has no unit: add B, KiB, MiB or GiB", text));
  }
  if (suffix == "KB" || suffix == "kB" || suffix == "MB" || suffix == "GB" || suffix == "K" ||
      suffix == "M" || suffix == "G") {
    throw InputError(where,
                     fmt::format("'{}' is ambiguous (1000 or 1024?): write KiB, MiB or GiB", text));
  }
  throw InputError(where, fmt::format("'{}' has an unknown unit: use B, KiB, MiB or GiB", text));
}

/// The largest unit in which `amount` is at least 1 once it is rounded to what will be printed.
std::string FormatIn(const std::array<Unit, 4>& units, std::int64_t amount, double carry) {
  const double magnitude = std::abs(static_cast<double>(amount));
  std::size_t chosen = 0;
  while (chosen + 1 < units.size() &&
         magnitude / static_cast<double>(units[chosen].factor) >= carry) {
    ++chosen;
  }
  if (chosen == 0) return fmt::format("{} {}", amount, units[0].name);
  const double scaled = static_cast<double>(amount) / static_cast<double>(units[chosen].factor);
  const int decimals = std::abs(scaled) < 9.995 ? 2 : std::abs(scaled) < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f} {}", scaled, decimals, units[chosen].name);
}

}  // namespace

std::int64_t ParseBytes(std::string_view text, const std::string& where) {
  std::size_t at = 0;
  if (!text.empty() && text[0] == '-') {
    throw InputError(where, fmt::format("'{}' is negative", text));
  }
  std::int64_t whole = 0;
  const std::size_t whole_begin = at;
  for (; at < text.size() && IsDigit(text[at]); ++at) {
    whole = whole > kLargestBytes / 10 ? kLargestBytes + 1 : whole * 10 + (text[at] - '0');
  }
  if (at == whole_begin) {
    throw InputError(where, fmt::format("'{}' is not a size: write it like 8GiB", text));
  }
  double fraction = 0;
  double digit_weight = 0.1;
  const bool has_point = at < text.size() && text[at] == '.';
  if (has_point) {
    const std::size_t fraction_begin = ++at;
    for (; at < text.size() && IsDigit(text[at]); ++at, digit_weight /= 10) {
      fraction += digit_weight * (text[at] - '0');
    }
    if (at == fraction_begin) {
      throw InputError(where, fmt::format("'{}' lacks digits after its point", text));
    }
  }
  if (whole > kLargestBytes) {
    throw InputError(where, fmt::format("'{}' is more than 2^60 bytes", text));
  }
  if (at < text.size() && text[at] == ' ') ++at;
  const std::int64_t factor = FactorOf(text.substr(at), where, text);
  if (has_point && factor == 1) {
    throw InputError(where, fmt::format("'{}' is not a whole number of bytes", text));
  }
  if (whole > kLargestBytes / factor || (whole == kLargestBytes / factor && fraction > 0)) {
    throw InputError(where, fmt::format("'{}' is more than 2^60 bytes", text));
  }
  return whole * factor + std::llround(fraction * static_cast<double>(factor));
}

std::string FormatBytes(std::int64_t size_bytes) {
  return FormatIn(kByteUnits, size_bytes, 1023.5);
}

std::string FormatDuration(std::int64_t duration_ns) {
  return FormatIn(kTimeUnits, duration_ns, 999.5);
}

}  // namespace stint
