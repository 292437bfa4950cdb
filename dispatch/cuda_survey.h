// What a plan must know of a card beside its size, measured on it: what the process takes without
// the arena, what a node of a graph takes, how long copies take. Internal to dispatch/.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <vector>

#include "dispatch/device_runtime.h"
#include "ir/device.h"

namespace stint {

/// Makes the libraries load what most programs use of them: a convolution, a matrix product,
/// attention, in float32 and bfloat16. Their memory is given back.
void WarmUpLibraries(DeviceRuntime& runtime);

/// Device memory that one kernel of an instantiated graph takes, rounded up.
std::int64_t MeasureGraphNodeBytes(DeviceRuntime& runtime, cudaStream_t stream);

/// Copies of 64 KiB to 64 MiB between pinned host memory and the device, each one of several in a
/// row; of the fastest of some rounds, since a link that others use, too, is only ever slower.
/// Larger copies run at the rate of the largest.
std::vector<CopyTime> MeasureCopyTimes(cudaStream_t stream);

}  // namespace stint
