#include "ir/copy_floor.h"

#include <algorithm>
#include <vector>

#include "ir/errors.h"

namespace stint {
namespace {

__extension__ typedef __int128 Wide;

/// By the points measured, less the nanosecond that others may round away: straight lines between
/// them, the smallest one's time below, the largest one's rate above.
template <typename NsOf>
std::int64_t TimeAt(const std::vector<CopyTime>& times, std::int64_t size_bytes, NsOf ns_of) {
  const auto after = std::ranges::lower_bound(times, size_bytes, {}, &CopyTime::size_bytes);
  Wide copy_ns = 0;
  if (after == times.begin()) {
    copy_ns = ns_of(times.front());
  } else if (after == times.end()) {
    copy_ns = Wide{ns_of(times.back())} * size_bytes / times.back().size_bytes;
  } else {
    const CopyTime& before = *(after - 1);
    const Wide rise = Wide{ns_of(*after)} - ns_of(before);
    const Wide run = after->size_bytes - before.size_bytes;
    const Wide scaled = rise * (size_bytes - before.size_bytes);
    copy_ns = ns_of(before) + (scaled >= 0 ? scaled / run : -((run - 1 - scaled) / run));
  }
  return static_cast<std::int64_t>(std::max<Wide>(0, copy_ns - 1));
}

std::int64_t AloneNs(const Device& device, CopyWay way, std::int64_t size_bytes) {
  return TimeAt(device.copy_times, size_bytes, [&](const CopyTime& time) {
    return way == CopyWay::kToHost ? time.to_host_ns : time.to_device_ns;
  });
}

/// Beside a copy the other way.
std::int64_t ContendedNs(const Device& device, CopyWay way, std::int64_t size_bytes) {
  return std::max(
      AloneNs(device, way, size_bytes),
      TimeAt(device.copy_times, size_bytes, [](const CopyTime& time) { return time.both_ns; }));
}

}  // namespace

CopyFloor::CopyFloor(const Device& device, std::int64_t largest_copy_bytes,
                     std::int64_t other_way_permille)
    : device_(device),
      largest_copy_bytes_(largest_copy_bytes),
      other_way_permille_(other_way_permille) {
  Check(!device.copy_times.empty(), "copies were measured");
  to_host_ = LeastSlope(CopyWay::kToHost);
  to_device_ = LeastSlope(CopyWay::kToDevice);
}

std::int64_t CopyFloor::OwnNs(CopyWay way, std::int64_t size_bytes) const {
  if (size_bytes <= 0) return 0;
  const Wide contended_ns = Wide{ContendedNs(device_, way, size_bytes)} * 1000;
  return static_cast<std::int64_t>(std::min<Wide>(AloneNs(device_, way, size_bytes),
                                                  contended_ns / (1000 + other_way_permille_)));
}

std::int64_t CopyFloor::SharedNs(CopyWay way, std::int64_t size_bytes) const {
  if (largest_copy_bytes_ > 0 && size_bytes > largest_copy_bytes_) return OwnNs(way, size_bytes);
  const Slope& slope = way == CopyWay::kToHost ? to_host_ : to_device_;
  return static_cast<std::int64_t>(Wide{slope.ns} * size_bytes / slope.bytes);
}

CopyFloor::Slope CopyFloor::LeastSlope(CopyWay way) const {
  // A time that is linear between two sizes is above the line through 0 if it is at both.
  std::vector<std::int64_t> sizes_bytes{};
  sizes_bytes.reserve(device_.copy_times.size() + 1);
  for (const CopyTime& time : device_.copy_times) sizes_bytes.push_back(time.size_bytes);
  if (largest_copy_bytes_ > 0) {
    std::erase_if(sizes_bytes, [&](std::int64_t each) { return each > largest_copy_bytes_; });
    sizes_bytes.push_back(largest_copy_bytes_);
  }
  Slope least{};
  for (std::size_t i = 0; i < sizes_bytes.size(); ++i) {
    const Slope slope{.ns = OwnNs(way, sizes_bytes[i]), .bytes = sizes_bytes[i]};
    if (i == 0 || Wide{slope.ns} * least.bytes < Wide{least.ns} * slope.bytes) least = slope;
  }
  return least;
}

std::int64_t OtherWayPermille(const Device& device, std::int64_t size_bytes) {
  std::int64_t permille = 1000;
  for (const CopyWay way : {CopyWay::kToHost, CopyWay::kToDevice}) {
    for (const CopyTime& time : device.copy_times) {
      if (time.size_bytes < size_bytes && &time != &device.copy_times.back()) continue;
      const std::int64_t alone_ns = AloneNs(device, way, time.size_bytes);
      if (alone_ns == 0) return 0;
      const std::int64_t contended_ns = ContendedNs(device, way, time.size_bytes);
      permille = std::min(permille,
                          static_cast<std::int64_t>(Wide{contended_ns} * 1000 / alone_ns - 1000));
    }
  }
  return device.copy_times.empty() ? 0 : std::max<std::int64_t>(0, permille);
}

}  // namespace stint
