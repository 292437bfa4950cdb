#include "planner/link_model.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace stint {
namespace {

constexpr double kNsPerS = 1e9;

struct Line {
  double ns_per_byte = 0;
  double latency_ns = 0;
};

/// The steepest line through the last point that has no point below it and does not start below 0.
template <typename NsOf>
Line LineBelow(const std::vector<CopyTime>& times, NsOf ns_of) {
  const auto bytes_of = [](const CopyTime& time) { return static_cast<double>(time.size_bytes); };
  const CopyTime& last = times.back();
  const auto last_ns = static_cast<double>(ns_of(last));
  double ns_per_byte = 0;
  for (const CopyTime& time : times) {
    if (time.size_bytes == last.size_bytes) continue;
    ns_per_byte = std::max(ns_per_byte, (last_ns - static_cast<double>(ns_of(time))) /
                                            (bytes_of(last) - bytes_of(time)));
  }
  const double latency_ns = last_ns - ns_per_byte * bytes_of(last);
  if (times.size() > 1 && ns_per_byte > 0 && latency_ns >= 0) return {ns_per_byte, latency_ns};
  ns_per_byte = last_ns / bytes_of(last);
  for (const CopyTime& time : times) {
    ns_per_byte = std::min(ns_per_byte, static_cast<double>(ns_of(time)) / bytes_of(time));
  }
  return {ns_per_byte, 0};
}

std::int64_t RateOf(const Line& line) {
  constexpr double kFastest = 1e15;  // Copies that take no time at all.
  return std::max<std::int64_t>(
      1, std::llround(std::min(kFastest, kNsPerS / std::max(line.ns_per_byte, 1e-9))));
}

std::int64_t CopyNs(std::int64_t latency_ns, std::int64_t bytes_per_s, std::int64_t size_bytes) {
  return latency_ns +
         std::llround(static_cast<double>(size_bytes) * kNsPerS / static_cast<double>(bytes_per_s));
}

}  // namespace

std::optional<LinkModel> LinkModelOf(const Device& device) {
  const std::vector<CopyTime>& times = device.copy_times;
  if (times.empty()) return std::nullopt;
  const Line to_host = LineBelow(times, [](const CopyTime& time) { return time.to_host_ns; });
  const Line to_device = LineBelow(times, [](const CopyTime& time) { return time.to_device_ns; });
  const Line both = LineBelow(times, [](const CopyTime& time) {
    return std::max({time.both_ns, time.to_host_ns, time.to_device_ns});
  });
  return LinkModel{.to_host_bytes_per_s = RateOf(to_host),
                   .to_device_bytes_per_s = RateOf(to_device),
                   .both_bytes_per_s = RateOf(both),
                   .copy_latency_ns = static_cast<std::int64_t>(
                       std::llround(std::min(to_host.latency_ns, to_device.latency_ns)))};
}

std::int64_t ToHostNs(const LinkModel& link, std::int64_t size_bytes) {
  return CopyNs(link.copy_latency_ns, link.to_host_bytes_per_s, size_bytes);
}

std::int64_t ToDeviceNs(const LinkModel& link, std::int64_t size_bytes) {
  return CopyNs(link.copy_latency_ns, link.to_device_bytes_per_s, size_bytes);
}

}  // namespace stint
