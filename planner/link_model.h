// What copies between host and device cost at least, as a planner computes with it: one line for
// each direction, below everything that was measured.
//
//     ns |            x        x  measured (Device::copy_times), straight lines between
//        |       x  .
//        | x   .            .  the line: latency + bytes / rate
//        |   .
//        +--------------------- bytes
//
// Refuses to know: plans, windows. What a proof may say of copies is in ir/copy_floor.h.
#pragma once

#include <cstdint>
#include <optional>

#include "ir/device.h"

namespace stint {

struct LinkModel {
  std::int64_t to_host_bytes_per_s = 0;    // Device to host, while nothing goes the other way; > 0.
  std::int64_t to_device_bytes_per_s = 0;  // Host to device, alone; > 0.
  std::int64_t both_bytes_per_s = 0;       // Of each, while copies go both ways; > 0.
  std::int64_t copy_latency_ns = 0;        // Of each copy, besides; the same in both directions.
};

/// The link of `device`; empty if no copies were measured (a CPU, or a file without a word on
/// them), so that no plan should make any. The line touches the largest copy measured.
std::optional<LinkModel> LinkModelOf(const Device& device);

/// Time of a copy of `size_bytes` by this model, nothing going the other way.
std::int64_t ToHostNs(const LinkModel& link, std::int64_t size_bytes);
std::int64_t ToDeviceNs(const LinkModel& link, std::int64_t size_bytes);

}  // namespace stint
