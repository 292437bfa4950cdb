// Lets one listener at a time see, count and serve every request that LibTorch makes of a device's
// allocator: the CPU allocator (which oneDNN's scratch also comes from) and the CUDA one. Without a
// listener, and for requests a listener declines, the native allocator serves.
#pragma once

#include <cstdint>

#include "ir/device.h"

namespace stint {

/// Sees the requests of one device. Called under a lock, from any thread; must not allocate device
/// memory itself.
class AllocatorListener {
 public:
  virtual ~AllocatorListener() = default;

  /// A request of `size_bytes` > 0. Returns the memory to serve it with, which outlives the tensor,
  /// or nullptr to let the native allocator serve. Never throws: PyTorch would take an
  /// out-of-memory error inside an op as advice to try another algorithm, and change bits.
  virtual void* OnRequest(std::int64_t size_bytes) noexcept = 0;

  /// The native allocator served the last declined request at `data`.
  virtual void OnServedNatively(void* data, std::int64_t size_bytes) noexcept = 0;

  /// Memory that this listener saw requested is given back; an inner listener does not hide it.
  virtual void OnFree(void* data) noexcept = 0;
};

/// Installs Stint's allocator in front of the native one, for the rest of the process. For CUDA,
/// call it before the first use of CUDA. Calling it again does nothing.
void InstallAllocatorHook(DeviceKind kind);

/// Makes `listener` the device's listener until the end of the scope; scopes nest. The listener
/// must outlive the scope; memory it served may be freed later, which nobody hears.
class ScopedAllocatorListener {
 public:
  ScopedAllocatorListener(DeviceKind kind, AllocatorListener& listener);
  ~ScopedAllocatorListener();
  ScopedAllocatorListener(const ScopedAllocatorListener&) = delete;
  ScopedAllocatorListener& operator=(const ScopedAllocatorListener&) = delete;

 private:
  DeviceKind kind_;
  std::uint64_t scope_;  // Its number, given by the gate.
};

}  // namespace stint
