#include "dispatch/device_parts.h"
#include "ir/errors.h"

namespace stint {
namespace {

[[noreturn]] void RefuseCuda() { throw InputError("--device", "this build of Stint has no CUDA"); }

}  // namespace

void InstallCudaAllocatorHook() { RefuseCuda(); }

std::unique_ptr<DeviceRuntime> MakeCudaRuntime(int /*device_index*/) { RefuseCuda(); }

}  // namespace stint
