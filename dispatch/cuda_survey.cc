#include "dispatch/cuda_survey.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAStream.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "dispatch/random_fill.h"

namespace stint {
namespace {

constexpr int kGraphNodeCount = 20000;  // Enough to be many times what the driver rounds to.
// A link may be shared with other machines, which slows some rounds: the fastest one counts.
constexpr int kCopyRoundCount = 12;
constexpr std::int64_t kBytesInRow = 64 << 20;
constexpr std::int64_t kMostInRow = 64;
constexpr std::int64_t kSmallestCopyBytes = 64 << 10;
constexpr std::int64_t kLargestCopyBytes = 64 << 20;

struct FreeDeviceMemory {
  void operator()(void* data) const { C10_CUDA_CHECK_WARN(cudaFree(data)); }
};
struct FreePinnedMemory {
  void operator()(void* data) const { C10_CUDA_CHECK_WARN(cudaFreeHost(data)); }
};
using DeviceMemory = std::unique_ptr<void, FreeDeviceMemory>;
using PinnedMemory = std::unique_ptr<void, FreePinnedMemory>;

DeviceMemory AllocateOnDevice(std::int64_t size_bytes) {
  void* data = nullptr;
  C10_CUDA_CHECK(cudaMalloc(&data, static_cast<std::size_t>(size_bytes)));
  return DeviceMemory(data);
}

PinnedMemory AllocatePinned(std::int64_t size_bytes) {
  void* data = nullptr;
  C10_CUDA_CHECK(cudaMallocHost(&data, static_cast<std::size_t>(size_bytes)));
  return PinnedMemory(data);
}

class Event {
 public:
  Event() { C10_CUDA_CHECK(cudaEventCreate(&event_)); }
  ~Event() { C10_CUDA_CHECK_WARN(cudaEventDestroy(event_)); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void Record(cudaStream_t stream) { C10_CUDA_CHECK(cudaEventRecord(event_, stream)); }
  void MakeWait(cudaStream_t stream) { C10_CUDA_CHECK(cudaStreamWaitEvent(stream, event_)); }
  std::int64_t NanosecondsSince(const Event& start) const {
    C10_CUDA_CHECK(cudaEventSynchronize(event_));
    float milliseconds = 0;
    C10_CUDA_CHECK(cudaEventElapsedTime(&milliseconds, start.event_, event_));
    return std::llround(static_cast<double>(milliseconds) * 1e6);
  }

 private:
  cudaEvent_t event_ = nullptr;
};

/// Device and pinned memory for one copy in each direction.
struct CopyBench {
  explicit CopyBench(cudaStream_t compute)
      : to_host_stream(compute), to_device_stream(c10::cuda::getStreamFromPool()) {}

  void ToHost(std::size_t size_bytes) const {
    C10_CUDA_CHECK(cudaMemcpyAsync(host_target.get(), device_source.get(), size_bytes,
                                   cudaMemcpyDeviceToHost, to_host_stream));
  }
  void ToDevice(std::size_t size_bytes, cudaStream_t stream) const {
    C10_CUDA_CHECK(cudaMemcpyAsync(device_target.get(), host_source.get(), size_bytes,
                                   cudaMemcpyHostToDevice, stream));
  }

  /// Of one of several copies in a row, as plans issue them.
  CopyTime Measure(std::int64_t copy_bytes) {
    const auto size_bytes = static_cast<std::size_t>(copy_bytes);
    const std::int64_t count = std::clamp<std::int64_t>(kBytesInRow / copy_bytes, 2, kMostInRow);
    const auto repeat = [count](const auto& copy) {
      for (std::int64_t i = 0; i < count; ++i) copy();
    };
    Event start;
    Event to_host_end;
    Event to_device_end;
    start.Record(to_host_stream);
    repeat([&] { ToHost(size_bytes); });
    to_host_end.Record(to_host_stream);
    const std::int64_t to_host_ns = to_host_end.NanosecondsSince(start) / count;

    start.Record(to_host_stream);
    repeat([&] { ToDevice(size_bytes, to_host_stream); });
    to_device_end.Record(to_host_stream);
    const std::int64_t to_device_ns = to_device_end.NanosecondsSince(start) / count;

    start.Record(to_host_stream);
    start.MakeWait(to_device_stream);
    repeat([&] {
      ToHost(size_bytes);
      ToDevice(size_bytes, to_device_stream);
    });
    to_host_end.Record(to_host_stream);
    to_device_end.Record(to_device_stream);
    const std::int64_t both_ns =
        std::max(to_host_end.NanosecondsSince(start), to_device_end.NanosecondsSince(start)) /
        count;
    return {.size_bytes = copy_bytes,
            .to_host_ns = to_host_ns,
            .to_device_ns = to_device_ns,
            .both_ns = both_ns};
  }

  cudaStream_t to_host_stream;
  c10::cuda::CUDAStream to_device_stream;
  DeviceMemory device_source = AllocateOnDevice(kLargestCopyBytes);
  DeviceMemory device_target = AllocateOnDevice(kLargestCopyBytes);
  PinnedMemory host_source = AllocatePinned(kLargestCopyBytes);
  PinnedMemory host_target = AllocatePinned(kLargestCopyBytes);
};

}  // namespace

void WarmUpLibraries(DeviceRuntime& runtime) {
  {
    const at::NoGradGuard no_grad;
    for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
      const auto options = at::TensorOptions(at::kCUDA).dtype(dtype);
      const at::Tensor image = at::ones({1, 32, 16, 16}, options);
      at::Tensor result = at::conv2d(image, at::ones({32, 32, 3, 3}, options), {}, 1, 1);
      result = at::group_norm(result, 32).flatten(2);
      result = at::matmul(result, result.transpose(1, 2)).unsqueeze(0);
      result = at::scaled_dot_product_attention(result, result, result);
      result.sum();
    }
    runtime.Synchronize();
  }
  runtime.ReleaseLibraryWorkspaces();
  c10::cuda::CUDACachingAllocator::emptyCache();
}

std::int64_t MeasureGraphNodeBytes(DeviceRuntime& runtime, cudaStream_t stream) {
  C10_CUDA_CHECK(LaunchEmptyKernels(1, stream));  // Loads the kernel.
  runtime.Synchronize();
  const std::int64_t bytes_before = runtime.ProcessBytes();
  const auto graph =
      runtime.CaptureGraph([&] { C10_CUDA_CHECK(LaunchEmptyKernels(kGraphNodeCount, stream)); });
  graph->Launch();
  runtime.Synchronize();
  const std::int64_t graph_bytes = runtime.ProcessBytes() - bytes_before;
  return (std::max<std::int64_t>(graph_bytes, 0) + kGraphNodeCount - 1) / kGraphNodeCount;
}

std::vector<CopyTime> MeasureCopyTimes(cudaStream_t stream) {
  CopyBench bench(stream);
  std::vector<CopyTime> fastest;
  for (std::int64_t size_bytes = kSmallestCopyBytes; size_bytes <= kLargestCopyBytes;
       size_bytes *= 4) {
    fastest.push_back(bench.Measure(size_bytes));  // The first one is slower.
  }
  for (int round = 0; round < kCopyRoundCount; ++round) {
    for (CopyTime& best : fastest) {
      const CopyTime time = bench.Measure(best.size_bytes);
      best.to_host_ns = std::min(best.to_host_ns, time.to_host_ns);
      best.to_device_ns = std::min(best.to_device_ns, time.to_device_ns);
      best.both_ns = std::min(best.both_ns, time.both_ns);
    }
  }
  return fastest;
}

}  // namespace stint
