// The halves of the device runtime that only dispatch/ itself puts together: one for the CPU, one
// for CUDA, which in no_cuda.cc says that this build has none.
#pragma once

#include <memory>

#include "dispatch/device_runtime.h"

namespace stint {

/// Runtime of the CPU, hook installed.
std::unique_ptr<DeviceRuntime> MakeCpuRuntime();

/// Runtime of the card `device_index`, hook installed.
/// @throws InputError naming `--device` if this build or machine has no such card.
std::unique_ptr<DeviceRuntime> MakeCudaRuntime(int device_index);

/// @throws InputError naming `--device` in a build without CUDA.
void InstallCudaAllocatorHook();

/// Sets LibTorch's switches of all devices: deterministic kernels or the fast ones, and never the
/// choice of a kernel by trying several out (cudnn.benchmark).
void ChooseKernels(bool is_deterministic);

}  // namespace stint
