#include "dispatch/allocator_hook.h"

#include <ATen/ATen.h>
#include <c10/core/CPUAllocator.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>
#include <vector>

namespace stint {
namespace {

using testing::ElementsAre;

/// Serves requests of one size from memory of its own and declines others.
class OneSizeListener final : public AllocatorListener {
 public:
  explicit OneSizeListener(std::int64_t served_bytes) : served_bytes_(served_bytes) {}

  void* OnRequest(std::int64_t size_bytes) noexcept override {
    requests.push_back(size_bytes);
    return size_bytes == served_bytes_ ? memory_.data() : nullptr;
  }
  void OnServedNatively(void* data, std::int64_t /*size_bytes*/) noexcept override {
    native.push_back(data);
  }
  void OnFree(void* data) noexcept override { freed.push_back(data); }

  const void* memory() const { return memory_.data(); }

  std::vector<std::int64_t> requests{};
  std::vector<void*> native{};
  std::vector<const void*> freed{};

 private:
  std::int64_t served_bytes_;
  alignas(512) std::array<std::byte, 4096> memory_{};
};

class AllocatorHookTest : public testing::Test {
 protected:
  AllocatorHookTest() { InstallAllocatorHook(DeviceKind::kCpu); }
};

TEST_F(AllocatorHookTest, ServesATensorFromTheListenersMemory) {
  OneSizeListener listener(256);
  const ScopedAllocatorListener listening(DeviceKind::kCpu, listener);
  {
    const at::Tensor tensor = at::empty({64});
    EXPECT_EQ(tensor.const_data_ptr(), listener.memory());
    EXPECT_THAT(listener.freed, ElementsAre());
  }
  EXPECT_THAT(listener.requests, ElementsAre(256));
  EXPECT_THAT(listener.freed, ElementsAre(listener.memory()));
}

TEST_F(AllocatorHookTest, TellsTheListenerWhereDeclinedRequestsLie) {
  OneSizeListener listener(256);
  const ScopedAllocatorListener listening(DeviceKind::kCpu, listener);
  const at::Tensor tensor = at::zeros({32});

  EXPECT_THAT(listener.native, ElementsAre(tensor.mutable_data_ptr()));
}

TEST_F(AllocatorHookTest, DoesNotAskForEmptyTensors) {
  OneSizeListener listener(256);
  const ScopedAllocatorListener listening(DeviceKind::kCpu, listener);
  const at::Tensor tensor = at::empty({0});

  EXPECT_THAT(listener.requests, ElementsAre());
}

TEST_F(AllocatorHookTest, FreesOfMemoryServedByADeadListenerAreSilent) {
  OneSizeListener other(1);
  const ScopedAllocatorListener listening_other(DeviceKind::kCpu, other);
  OneSizeListener listener(256);
  at::Tensor served;
  at::Tensor native;
  {
    const ScopedAllocatorListener listening(DeviceKind::kCpu, listener);
    served = at::empty({64});
    native = at::empty({32});
  }
  served.reset();
  native.reset();

  EXPECT_THAT(listener.freed, ElementsAre());
  EXPECT_THAT(other.freed, ElementsAre());
}

TEST_F(AllocatorHookTest, AnOuterListenerHearsOfItsMemoryInsideAnInnerScope) {
  OneSizeListener outer(256);
  OneSizeListener inner(1);
  const ScopedAllocatorListener listening_outer(DeviceKind::kCpu, outer);
  at::Tensor tensor = at::empty({64});
  const ScopedAllocatorListener listening_inner(DeviceKind::kCpu, inner);
  tensor.reset();

  EXPECT_THAT(outer.freed, ElementsAre(outer.memory()));
  EXPECT_THAT(inner.freed, ElementsAre());
}

TEST_F(AllocatorHookTest, FulfilsTheContractOfRawAllocate) {
  c10::Allocator* allocator = c10::GetCPUAllocator();
  OneSizeListener listener(256);
  const ScopedAllocatorListener listening(DeviceKind::kCpu, listener);

  for (const std::size_t size_bytes : {256, 300}) {
    const c10::DataPtr data = allocator->allocate(size_bytes);
    EXPECT_EQ(data.get(), data.get_context());
    EXPECT_EQ(data.get_deleter(), allocator->raw_deleter());
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(data.get()) % 64, 0U);
  }
  void* raw = allocator->raw_allocate(256);
  EXPECT_EQ(raw, listener.memory());
  allocator->raw_deallocate(raw);
  EXPECT_EQ(listener.freed.size(), 3U);
}

TEST_F(AllocatorHookTest, ServesOnednnsScratchMemory) {
  OneSizeListener listener(1);
  const at::Tensor image = at::rand({1, 16, 32, 32});
  const at::Tensor weight = at::rand({16, 16, 3, 3});
  const ScopedAllocatorListener listening(DeviceKind::kCpu, listener);
  at::Tensor result = at::conv2d(image, weight);
  const std::size_t native_count = listener.native.size();
  result.reset();

  EXPECT_GE(native_count, 1U);
  EXPECT_EQ(listener.freed.size(), native_count);
}

TEST_F(AllocatorHookTest, ManyThreadsGetMemoryOfTheirOwn) {
  OneSizeListener listener(1);
  const ScopedAllocatorListener listening(DeviceKind::kCpu, listener);
  std::atomic<int> damaged_count{0};
  std::vector<std::thread> threads;
  for (int id = 0; id < 8; ++id) {
    threads.emplace_back([id, &damaged_count] {
      for (int round = 0; round < 2000; ++round) {
        c10::DataPtr data = c10::GetCPUAllocator()->allocate(128);
        auto* bytes = static_cast<unsigned char*>(data.get());
        std::fill_n(bytes, 128, static_cast<unsigned char>(id));
        std::this_thread::yield();
        const bool is_intact =
            std::all_of(bytes, bytes + 128, [id](unsigned char byte) { return byte == id; });
        if (!is_intact) ++damaged_count;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();

  EXPECT_EQ(damaged_count, 0);
  EXPECT_EQ(listener.requests.size(), 16000U);
  EXPECT_EQ(listener.freed.size(), 16000U);
}

}  // namespace
}  // namespace stint
