// The CUDA half of copy_streams.h. Internal to dispatch/.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>

#include "dispatch/copy_streams.h"

namespace stint {

/// Copies by the card's engines beside `compute`, which must outlive the result. Waits are for
/// counters in device memory, so compute may be captured into a graph with them: an event that a
/// graph waits for is taken as of the graph's launch, which is too early. Null if the driver has no
/// stream memory operations.
std::unique_ptr<CopyStreams> MakeCudaCopyStreams(cudaStream_t compute);

}  // namespace stint
