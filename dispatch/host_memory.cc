#include "dispatch/host_memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <string>

#include "ir/errors.h"
#include "ir/units.h"

namespace stint {
namespace {

constexpr std::int64_t kKibibyte = 1024;

/// The number at the start of a file; nothing if there is none ("max").
std::optional<std::int64_t> NumberIn(const char* path) {
  std::ifstream file(path);
  std::int64_t number = 0;
  if (file >> number) return number;
  return std::nullopt;
}

std::int64_t AvailableInMachine() {
  std::ifstream file("/proc/meminfo");
  for (std::string key; file >> key;) {
    std::int64_t kibibytes = 0;
    if (key == "MemAvailable:" && file >> kibibytes) return kibibytes * kKibibyte;
    file.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return std::numeric_limits<std::int64_t>::max();  // The system does not say.
}

}  // namespace

std::int64_t AvailableHostBytes() {
  std::int64_t available_bytes = AvailableInMachine();
  const auto limit_bytes = NumberIn("/sys/fs/cgroup/memory.max");
  const auto taken_bytes = NumberIn("/sys/fs/cgroup/memory.current");
  if (limit_bytes && taken_bytes) {
    available_bytes = std::min(available_bytes, *limit_bytes - *taken_bytes);
  }
  return available_bytes;
}

void CheckHostHas(std::int64_t size_bytes) {
  const std::int64_t available_bytes = AvailableHostBytes();
  if (size_bytes <= available_bytes) return;
  throw InputError("host memory",
                   "the plan moves " + FormatBytes(size_bytes) + " to it, but only " +
                       FormatBytes(std::max<std::int64_t>(available_bytes, 0)) + " are free");
}

}  // namespace stint
