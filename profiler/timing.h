// How long one op takes, with its spread. Knows devices only through DeviceRuntime.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "dispatch/capture.h"
#include "dispatch/device_runtime.h"

namespace stint {

/// Median and half the interquartile range of `samples_ns`, which is not empty.
OpTiming Summarize(std::vector<std::int64_t> samples_ns);

/// Times what `issue` does, which must be warm: on a GPU a graph of repeats, so that what issuing
/// costs does not count, launched a few times; without graphs one call after the other, 20 at most,
/// 3 at least, until they took 0.2 s.
OpTiming TimeOp(DeviceRuntime& runtime, const std::function<void()>& issue);

}  // namespace stint
