#include "planner/copy_cost.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace stint {
namespace {

std::int64_t ReadOff(const std::vector<CopyTime>& curve, std::int64_t CopyTime::*time_ns,
                     std::int64_t size_bytes) {
  if (curve.empty()) {
    return 0;
  }
  std::size_t above = 0;  // The first measured size that is no smaller.
  while (above < curve.size() && curve[above].size_bytes < size_bytes) {
    ++above;
  }
  if (above == 0) {
    return curve.front().*time_ns;
  }
  const CopyTime& low = curve[above - 1];
  if (above == curve.size()) {
    return std::llround(static_cast<double>(low.*time_ns) *
                        (static_cast<double>(size_bytes) / static_cast<double>(low.size_bytes)));
  }
  const CopyTime& high = curve[above];
  const double part = static_cast<double>(size_bytes - low.size_bytes) /
                      static_cast<double>(high.size_bytes - low.size_bytes);
  return low.*time_ns + std::llround(static_cast<double>(high.*time_ns - low.*time_ns) * part);
}

CopyCost CostOf(const Device& device, std::int64_t CopyTime::*time_ns, std::int64_t size_bytes) {
  const std::int64_t alone_ns = ReadOff(device.copy_times, time_ns, size_bytes);
  const std::int64_t both_ns = ReadOff(device.copy_times, &CopyTime::both_ns, size_bytes);
  return {.alone_ns = alone_ns, .beside_ns = std::max(alone_ns, both_ns)};
}

}  // namespace

CopyCost CostToHost(const Device& device, std::int64_t size_bytes) {
  return CostOf(device, &CopyTime::to_host_ns, size_bytes);
}

CopyCost CostToDevice(const Device& device, std::int64_t size_bytes) {
  return CostOf(device, &CopyTime::to_device_ns, size_bytes);
}

CopyCost CostOfCompute(const Device& device, std::int64_t duration_ns) {
  const auto permille = static_cast<double>(1000 + device.copy_slowdown_permille);
  return {.alone_ns = duration_ns,
          .beside_ns = std::llround(static_cast<double>(duration_ns) * (permille / 1000.0))};
}

}  // namespace stint
