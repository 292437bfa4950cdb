// The few things Stint asks of a device beside running ops: raw memory, copies, synchronisation,
// the driver's word on memory in use, and graphs. One implementation for the CPU, one for CUDA;
// nobody else calls the CUDA runtime.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dispatch/copy_streams.h"
#include "ir/device.h"

namespace stint {

/// Work recorded once and launched as one.
class DeviceGraph {
 public:
  virtual ~DeviceGraph() = default;
  virtual void Launch() = 0;  // On the compute stream; does not wait.
  virtual std::int64_t NodeCount() const = 0;
};

/// A point on the compute stream that the host can wait for.
class DeviceFence {
 public:
  virtual ~DeviceFence() = default;
  virtual void Record() = 0;  // Now: after all that compute has been given.
  virtual void Wait() = 0;    // Until compute is there; at once before the first Record.
};

/// One device with one compute stream, which is LibTorch's current stream as long as this lives.
class DeviceRuntime {
 public:
  virtual ~DeviceRuntime() = default;

  /// TimeEach of a single call.
  std::int64_t TimeOnce(const std::function<void()>& issue) {
    return TimeEach(1, [&](std::int64_t) { issue(); }).front();
  }

  virtual DeviceKind kind() const = 0;
  virtual Device Identify() const = 0;  // Name, memory, threads: at once, nothing is measured.
  virtual Device Describe() const = 0;  // Name, memory, threads; overhead and copy times as
                                        // measured by this call.

  /// Memory from the driver itself, aligned to 512 and not initialised; never from LibTorch's
  /// allocator.
  /// @throws InputError naming the device if there is not enough.
  virtual void* Allocate(std::int64_t size_bytes) = 0;
  virtual void Free(void* data) = 0;

  /// Host memory that copies read and write at full speed: pinned on CUDA. Not initialised.
  /// @throws InputError naming the host if it has not so much to spare.
  virtual void* AllocateHost(std::int64_t size_bytes) = 0;
  virtual void FreeHost(void* data) = 0;

  /// Copies between device memory and that of AllocateHost on the compute stream; does not wait.
  virtual void CopyInOrder(void* target, const void* source, std::int64_t size_bytes) = 0;
  virtual std::unique_ptr<DeviceFence> MakeFence() = 0;

  /// Streams for copies beside the compute stream. Null where the driver cannot join them with it.
  virtual std::unique_ptr<CopyStreams> MakeCopyStreams() = 0;

  virtual void CopyToDevice(void* device_data, const void* host_data, std::int64_t size_bytes) = 0;
  virtual void CopyToHost(void* host_data, const void* device_data, std::int64_t size_bytes) = 0;
  virtual void Fill(void* device_data, std::uint8_t byte, std::int64_t size_bytes) = 0;
  virtual void Synchronize() = 0;

  /// Uniform random numbers in [0, 1) of a floating dtype; zeros for any other.
  virtual void FillRandom(void* device_data, const std::string& dtype, std::int64_t size_bytes,
                          std::uint64_t seed) = 0;

  /// Device memory of this process as the driver reports it; resident memory of the process on a
  /// CPU.
  virtual std::int64_t ProcessBytes() const = 0;

  /// Records what `issue` puts on the compute stream. Null where the device has no graphs (CPU).
  virtual std::unique_ptr<DeviceGraph> CaptureGraph(const std::function<void()>& issue) = 0;

  /// Nanoseconds that what each of `count` calls of `issue` puts on the compute stream takes there;
  /// the first one from an idle stream, the others from the end of the one before: they are called
  /// ahead of the device, which does not pause between them.
  virtual std::vector<std::int64_t> TimeEach(std::int64_t count,
                                             const std::function<void(std::int64_t)>& issue) = 0;

  /// Chooses deterministic kernels, or the fast ones; cudnn.benchmark is off either way.
  virtual void SetDeterministic(bool is_deterministic) = 0;

  /// Makes LibTorch's libraries ask the current AllocatorListener for their workspaces anew.
  virtual void ReleaseLibraryWorkspaces() = 0;
};

/// `name`: "cpu", "cuda" or "cuda:0". Installs the allocator hook of the device.
/// @throws InputError naming `--device` if this build or machine has no such device.
std::unique_ptr<DeviceRuntime> MakeDeviceRuntime(const std::string& name);

}  // namespace stint
