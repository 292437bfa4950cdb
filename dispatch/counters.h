// Counters in device memory by which the streams of a card wait for each other, as kernels: in a
// graph of the compute stream a wait costs a third of a stream memory operation, a signal two
// thirds. No LibTorch here, so that nvcc need not read its headers. Internal to
// dispatch/.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace stint {

/// Puts a kernel on `stream` that ends when `*counter`, in device memory, is `count` or more.
cudaError_t LaunchAwait(const std::uint32_t* counter, std::uint32_t count, cudaStream_t stream);

/// Puts a kernel on `stream` that sets `*counter` after all that was put there before.
cudaError_t LaunchSignal(std::uint32_t* counter, std::uint32_t count, cudaStream_t stream);

}  // namespace stint
