// CUDA's allocator hook: LibTorch's pluggable allocator, whose requests go to the listener or on to
// the native caching allocator. The native one stays behind it for all that nobody plans.
#include <ATen/Context.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <torch/csrc/cuda/CUDAPluggableAllocator.h>

#include <memory>

#include "dispatch/device_parts.h"
#include "dispatch/listener_gate.h"

namespace stint {
namespace {

using c10::cuda::CUDACachingAllocator::CUDAAllocator;
using torch::cuda::CUDAPluggableAllocator::CUDAPluggableAllocator;

void InstallOnce() {
  CUDAAllocator* const native = c10::cuda::CUDACachingAllocator::get();
  ListenerGate& gate = ListenerGate::Of(DeviceKind::kCuda);
  auto hook = std::make_shared<CUDAPluggableAllocator>(
      [native, &gate](std::size_t size_bytes, int /*device*/, cudaStream_t stream) -> void* {
        if (size_bytes == 0) return nullptr;
        return gate.Request(static_cast<std::int64_t>(size_bytes),
                            [&] { return native->raw_alloc_with_stream(size_bytes, stream); });
      },
      [native, &gate](void* data, std::size_t /*size_bytes*/, int /*device*/,
                      cudaStream_t /*stream*/) {
        if (data != nullptr && gate.Release(data)) native->raw_delete(data);
      });
  hook->set_init_fn([native](int device_count) { native->init(device_count); });
  hook->set_reset_fn([native] { native->emptyCache(); });
  // Throws if CUDA has been used before.
  torch::cuda::CUDAPluggableAllocator::changeCurrentAllocator(hook);
}

}  // namespace

void InstallCudaAllocatorHook() {
  [[maybe_unused]] static const bool is_installed = [] {
    InstallOnce();
    return true;
  }();
}

}  // namespace stint
