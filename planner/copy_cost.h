// How long a copy between device and host takes, and an op beside copies, from what was measured of
// the device. Shares no
// arithmetic with the simulator.
#pragma once

#include <cstdint>

#include "ir/device.h"

namespace stint {

struct CopyCost {
  std::int64_t alone_ns = 0;   // While nothing goes the other way.
  std::int64_t beside_ns = 0;  // While another copy goes the other way; >= alone_ns.
};

/// Linear between measured sizes; the smallest one's time below them, the largest one's rate above.
/// Zero where nothing was measured.
CopyCost CostToHost(const Device& device, std::int64_t size_bytes);
CopyCost CostToDevice(const Device& device, std::int64_t size_bytes);

/// Of an op that takes `duration_ns` alone; beside_ns: while copies go both ways.
CopyCost CostOfCompute(const Device& device, std::int64_t duration_ns);

}  // namespace stint
