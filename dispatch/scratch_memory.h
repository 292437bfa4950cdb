// Memory for as long as something is looked at: what is kept for the next time counts against the
// small memory that a capture promises.
#pragma once

#include <cstddef>
#include <cstdint>

#include "dispatch/device_runtime.h"

namespace stint {

/// Null for 0 bytes; not initialised.
template <void* (DeviceRuntime::*Take)(std::int64_t), void (DeviceRuntime::*Give)(void*)>
class ScopedMemory {
 public:
  ScopedMemory(DeviceRuntime& runtime, std::int64_t size_bytes)
      : runtime_(runtime), data_(size_bytes > 0 ? (runtime.*Take)(size_bytes) : nullptr) {}
  ~ScopedMemory() {
    if (data_ != nullptr) (runtime_.*Give)(data_);
  }
  ScopedMemory(const ScopedMemory&) = delete;
  ScopedMemory& operator=(const ScopedMemory&) = delete;

  std::byte* data() const { return static_cast<std::byte*>(data_); }

 private:
  DeviceRuntime& runtime_;
  void* data_;
};

/// Of the device, at a multiple of 512.
using ScratchMemory = ScopedMemory<&DeviceRuntime::Allocate, &DeviceRuntime::Free>;
/// Of the host, for copies at full speed.
using HostScratchMemory = ScopedMemory<&DeviceRuntime::AllocateHost, &DeviceRuntime::FreeHost>;

}  // namespace stint
