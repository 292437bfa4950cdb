// Random numbers on a CUDA device. No LibTorch here, so that nvcc need not read its headers.
// Internal to dispatch/.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <string>

namespace stint {

/// Puts uniform random numbers in [0, 1) of a floating dtype, zeros of any other, on `stream`.
cudaError_t FillRandomOnDevice(void* data, const std::string& dtype, std::int64_t size_bytes,
                               std::uint64_t seed, cudaStream_t stream);

/// Puts `count` kernels that do nothing on `stream`.
cudaError_t LaunchEmptyKernels(int count, cudaStream_t stream);

/// Puts a kernel that takes `duration_ns` and does nothing on `stream`.
cudaError_t LaunchDelay(std::int64_t duration_ns, cudaStream_t stream);

}  // namespace stint
