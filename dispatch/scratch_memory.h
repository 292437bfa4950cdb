// Memory for as long as something is looked at: what is kept for the next time counts against the
// small memory that a capture promises.
#pragma once

#include <cstddef>
#include <cstdint>

#include "dispatch/device_runtime.h"

namespace stint {

/// Of the device, at a multiple of 512; null for 0 bytes. Not initialised.
class ScratchMemory {
 public:
  ScratchMemory(DeviceRuntime& runtime, std::int64_t size_bytes)
      : runtime_(runtime), data_(size_bytes > 0 ? runtime.Allocate(size_bytes) : nullptr) {}
  ~ScratchMemory() {
    if (data_ != nullptr) runtime_.Free(data_);
  }
  ScratchMemory(const ScratchMemory&) = delete;
  ScratchMemory& operator=(const ScratchMemory&) = delete;

  std::byte* data() const { return static_cast<std::byte*>(data_); }

 private:
  DeviceRuntime& runtime_;
  void* data_;
};

/// Of the host, for copies at full speed; `size_bytes` > 0. Not initialised.
class HostScratchMemory {
 public:
  HostScratchMemory(DeviceRuntime& runtime, std::int64_t size_bytes)
      : runtime_(runtime), data_(runtime.AllocateHost(size_bytes)) {}
  ~HostScratchMemory() { runtime_.FreeHost(data_); }
  HostScratchMemory(const HostScratchMemory&) = delete;
  HostScratchMemory& operator=(const HostScratchMemory&) = delete;

  std::byte* data() const { return static_cast<std::byte*>(data_); }

 private:
  DeviceRuntime& runtime_;
  void* data_;
};

}  // namespace stint
