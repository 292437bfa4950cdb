// A device runtime for tests: the CPU, with a count of what is allocated, and faults on request.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "dispatch/device_runtime.h"
#include "ir/errors.h"

namespace stint {

/// The CPU, with a count of what is allocated, and a fault on request.
class CountingRuntime : public DeviceRuntime {
 public:
  DeviceKind kind() const override { return kind_override; }
  Device Describe() const override { return cpu_->Describe(); }
  Device Identify() const override { return cpu_->Identify(); }
  void* Allocate(std::int64_t size_bytes) override {
    if (fails_to_allocate) throw InputError("cpu", "has no memory left");
    ++allocation_count;
    return cpu_->Allocate(size_bytes);
  }
  void Free(void* data) override {
    --allocation_count;
    cpu_->Free(data);
  }
  void* AllocateHost(std::int64_t size_bytes) override {
    ++allocation_count;
    return cpu_->AllocateHost(size_bytes);
  }
  void FreeHost(void* data) override {
    --allocation_count;
    cpu_->FreeHost(data);
  }
  void CopyInOrder(void* target, const void* source, std::int64_t size_bytes) override {
    cpu_->CopyInOrder(target, source, size_bytes);
  }
  std::unique_ptr<DeviceFence> MakeFence() override {
    return std::make_unique<GatedFence>(*this, cpu_->MakeFence());
  }
  std::unique_ptr<CopyStreams> MakeCopyStreams() override {
    return has_copy_streams ? cpu_->MakeCopyStreams() : nullptr;
  }
  void CopyToDevice(void* device_data, const void* host_data, std::int64_t size_bytes) override {
    cpu_->CopyToDevice(device_data, host_data, size_bytes);
  }
  void CopyToHost(void* host_data, const void* device_data, std::int64_t size_bytes) override {
    cpu_->CopyToHost(host_data, device_data, size_bytes);
  }
  void Fill(void* device_data, std::uint8_t byte, std::int64_t size_bytes) override {
    cpu_->Fill(device_data, byte, size_bytes);
  }
  void Synchronize() override { cpu_->Synchronize(); }
  void FillRandom(void* device_data, const std::string& dtype, std::int64_t size_bytes,
                  std::uint64_t seed) override {
    cpu_->FillRandom(device_data, dtype, size_bytes, seed);
  }
  std::int64_t ProcessBytes() const override { return cpu_->ProcessBytes(); }
  std::unique_ptr<DeviceGraph> CaptureGraph(const std::function<void()>& issue) override {
    return cpu_->CaptureGraph(issue);
  }
  std::vector<std::int64_t> TimeEach(std::int64_t count,
                                     const std::function<void(std::int64_t)>& issue) override {
    return cpu_->TimeEach(count, issue);
  }
  void SetDeterministic(bool is_deterministic) override {
    cpu_->SetDeterministic(is_deterministic);
  }
  void ReleaseLibraryWorkspaces() override { cpu_->ReleaseLibraryWorkspaces(); }

  DeviceKind kind_override = DeviceKind::kCpu;
  bool fails_to_allocate = false;
  bool has_copy_streams = true;
  int allocation_count = 0;
  std::function<void()> before_fence_wait{};  // On the thread that waits; may be empty.

 private:
  struct GatedFence final : DeviceFence {
    GatedFence(const CountingRuntime& r, std::unique_ptr<DeviceFence> f)
        : runtime(r), fence(std::move(f)) {}
    void Record() override { fence->Record(); }
    void Wait() override {
      if (runtime.before_fence_wait) runtime.before_fence_wait();
      fence->Wait();
    }
    const CountingRuntime& runtime;
    std::unique_ptr<DeviceFence> fence;
  };

  std::unique_ptr<DeviceRuntime> cpu_ = MakeDeviceRuntime("cpu");
};

}  // namespace stint
