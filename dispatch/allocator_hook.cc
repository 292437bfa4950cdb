#include "dispatch/allocator_hook.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <malloc.h>

#include "dispatch/device_parts.h"
#include "dispatch/listener_gate.h"

namespace stint {
namespace {

c10::Allocator* native_cpu_allocator = nullptr;  // Set once, before the hook is installed.

void DeleteCpuMemory(void* data) {
  if (data == nullptr) return;
  if (ListenerGate::Of(DeviceKind::kCpu).Release(data)) native_cpu_allocator->raw_deallocate(data);
}

/// Fulfils the contract of raw_allocate, which oneDNN's scratch memory comes through: the context
/// of each DataPtr is its data, and one deleter frees them all.
class CpuAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t size_bytes) override {
    void* data = size_bytes == 0 ? nullptr : Serve(size_bytes);
    return {data, data, &DeleteCpuMemory, c10::Device(c10::DeviceType::CPU)};
  }

  c10::DeleterFnPtr raw_deleter() const override { return &DeleteCpuMemory; }

  void copy_data(void* dest, const void* src, std::size_t count) const override {
    default_copy_data(dest, src, count);
  }

 private:
  static void* Serve(std::size_t size_bytes) {
    return ListenerGate::Of(DeviceKind::kCpu)
        .Request(static_cast<std::int64_t>(size_bytes),
                 [size_bytes] { return native_cpu_allocator->raw_allocate(size_bytes); });
  }
};

void InstallCpuAllocatorHook() {
  [[maybe_unused]] static const bool is_installed = [] {
    native_cpu_allocator = c10::GetCPUAllocator();
    // Gives large memory back when it is freed. glibc would raise the threshold, and older than
    // 2.38 does not find aligned memory again that it has freed: the heap grows without end.
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    // LibTorch sets its own with priority 0; ours is never destroyed, as tensors may outlive main.
    c10::SetCPUAllocator(new CpuAllocator, /*priority=*/100);
    return true;
  }();
}

}  // namespace

void InstallAllocatorHook(DeviceKind kind) {
  switch (kind) {
    case DeviceKind::kCpu:
      return InstallCpuAllocatorHook();
    case DeviceKind::kCuda:
      return InstallCudaAllocatorHook();
  }
}

ScopedAllocatorListener::ScopedAllocatorListener(DeviceKind kind, AllocatorListener& listener)
    : kind_(kind), scope_(ListenerGate::Of(kind).EnterScope(listener)) {}

ScopedAllocatorListener::~ScopedAllocatorListener() { ListenerGate::Of(kind_).LeaveScope(scope_); }

}  // namespace stint
