#include <ATen/Context.h>
#include <ATen/cuda/CUDAContextLight.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <utility>

#include "dispatch/copy_streams_cuda.h"
#include "dispatch/cuda_survey.h"
#include "dispatch/device_parts.h"
#include "dispatch/host_memory.h"
#include "dispatch/random_fill.h"
#include "ir/errors.h"
#include "ir/units.h"

namespace stint {
namespace {

class CudaGraph final : public DeviceGraph {
 public:
  /// Takes over `graph`.
  CudaGraph(cudaGraph_t graph, cudaStream_t stream) : stream_(stream) {
    const cudaError_t counted = cudaGraphGetNodes(graph, nullptr, &node_count_);
    const cudaError_t instantiated = cudaGraphInstantiate(&executable_, graph, 0);
    C10_CUDA_CHECK_WARN(cudaGraphDestroy(graph));
    C10_CUDA_CHECK(counted);
    C10_CUDA_CHECK(instantiated);
  }
  ~CudaGraph() override {
    C10_CUDA_CHECK_WARN(cudaStreamSynchronize(stream_));
    C10_CUDA_CHECK_WARN(cudaGraphExecDestroy(executable_));
  }

  void Launch() override { C10_CUDA_CHECK(cudaGraphLaunch(executable_, stream_)); }
  std::int64_t NodeCount() const override { return static_cast<std::int64_t>(node_count_); }

 private:
  cudaStream_t stream_;
  cudaGraphExec_t executable_ = nullptr;
  std::size_t node_count_ = 0;
};

/// Points of time on a stream.
class Events {
 public:
  explicit Events(std::size_t count) : events_(count) {
    for (cudaEvent_t& event : events_) C10_CUDA_CHECK(cudaEventCreate(&event));
  }
  ~Events() {
    for (const cudaEvent_t event : events_) C10_CUDA_CHECK_WARN(cudaEventDestroy(event));
  }
  Events(const Events&) = delete;
  Events& operator=(const Events&) = delete;

  void Record(std::size_t index, cudaStream_t stream) {
    C10_CUDA_CHECK(cudaEventRecord(events_[index], stream));
  }
  /// Nanoseconds from each to the next, once the last one has come.
  std::vector<std::int64_t> Differences() const {
    C10_CUDA_CHECK(cudaEventSynchronize(events_.back()));
    std::vector<std::int64_t> differences_ns;
    for (std::size_t i = 1; i < events_.size(); ++i) {
      float milliseconds = 0;
      C10_CUDA_CHECK(cudaEventElapsedTime(&milliseconds, events_[i - 1], events_[i]));
      differences_ns.push_back(std::llround(static_cast<double>(milliseconds) * 1e6));
    }
    return differences_ns;
  }

 private:
  std::vector<cudaEvent_t> events_;
};

class CudaFence final : public DeviceFence {
 public:
  explicit CudaFence(cudaStream_t stream) : stream_(stream) {
    C10_CUDA_CHECK(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming));
  }
  ~CudaFence() override { C10_CUDA_CHECK_WARN(cudaEventDestroy(event_)); }

  void Record() override { C10_CUDA_CHECK(cudaEventRecord(event_, stream_)); }
  void Wait() override { C10_CUDA_CHECK(cudaEventSynchronize(event_)); }

 private:
  cudaStream_t stream_;
  cudaEvent_t event_ = nullptr;
};

class CudaRuntime final : public DeviceRuntime {
 public:
  /// The device is there and current, CUDA initialised.
  explicit CudaRuntime(c10::DeviceIndex device)
      : device_(device),
        stream_before_(c10::cuda::getCurrentCUDAStream(device)),
        stream_(c10::cuda::getStreamFromExternal(MakeStream(), device)) {
    c10::cuda::setCurrentCUDAStream(stream_);
  }
  ~CudaRuntime() override {
    c10::cuda::setCurrentCUDAStream(stream_before_);
    C10_CUDA_CHECK_WARN(cudaStreamDestroy(stream_.stream()));
  }

  DeviceKind kind() const override { return DeviceKind::kCuda; }

  /// The overhead is that of the process at this moment, with the libraries loaded: most complete
  /// after the ops of the program have run once.
  Device Describe() const override {
    auto& self = const_cast<CudaRuntime&>(*this);  // Measuring issues work, which changes nothing.
    Device device = Identify();
    WarmUpLibraries(self);
    device.graph_node_bytes = MeasureGraphNodeBytes(self, stream_);
    device.copy_times = MeasureCopyTimes(stream_);
    const std::unique_ptr<CopyStreams> copy_streams = self.MakeCopyStreams();  // Take memory, too.
    device.overhead_bytes = ProcessBytes();
    return device;
  }

  Device Identify() const override {
    cudaDeviceProp properties{};
    C10_CUDA_CHECK(cudaGetDeviceProperties(&properties, device_));
    return {.kind = DeviceKind::kCuda,
            .name = properties.name,
            .memory_bytes = static_cast<std::int64_t>(properties.totalGlobalMem)};
  }

  void* Allocate(std::int64_t size_bytes) override {
    // What LibTorch's allocator keeps for later is memory that the plan may need.
    c10::cuda::CUDACachingAllocator::emptyCache();
    void* data = nullptr;
    if (cudaMalloc(&data, static_cast<std::size_t>(size_bytes)) != cudaSuccess) {
      cudaGetLastError();  // An answer, not a fault that stays.
      std::size_t free_bytes = 0;
      std::size_t total_bytes = 0;
      C10_CUDA_CHECK(cudaMemGetInfo(&free_bytes, &total_bytes));
      throw InputError(fmt::format("cuda:{}", device_),
                       fmt::format("cannot allocate {}: {} are free", FormatBytes(size_bytes),
                                   FormatBytes(static_cast<std::int64_t>(free_bytes))));
    }
    return data;
  }

  void Free(void* data) override { C10_CUDA_CHECK(cudaFree(data)); }

  void* AllocateHost(std::int64_t size_bytes) override {
    CheckHostHas(size_bytes);  // The driver would take what others need, and they would be killed.
    void* data = nullptr;
    if (cudaHostAlloc(&data, static_cast<std::size_t>(size_bytes), cudaHostAllocDefault) !=
        cudaSuccess) {
      cudaGetLastError();
      throw InputError("host memory",
                       fmt::format("the driver cannot pin {}", FormatBytes(size_bytes)));
    }
    return data;
  }
  void FreeHost(void* data) override { C10_CUDA_CHECK(cudaFreeHost(data)); }

  void CopyInOrder(void* target, const void* source, std::int64_t size_bytes) override {
    C10_CUDA_CHECK(cudaMemcpyAsync(target, source, static_cast<std::size_t>(size_bytes),
                                   cudaMemcpyDefault, stream_));
  }
  std::unique_ptr<DeviceFence> MakeFence() override { return std::make_unique<CudaFence>(stream_); }

  std::unique_ptr<CopyStreams> MakeCopyStreams() override { return MakeCudaCopyStreams(stream_); }

  void CopyToDevice(void* device_data, const void* host_data, std::int64_t size_bytes) override {
    Copy(device_data, host_data, size_bytes, cudaMemcpyHostToDevice);
  }
  void CopyToHost(void* host_data, const void* device_data, std::int64_t size_bytes) override {
    Copy(host_data, device_data, size_bytes, cudaMemcpyDeviceToHost);
  }
  void Fill(void* device_data, std::uint8_t byte, std::int64_t size_bytes) override {
    C10_CUDA_CHECK(
        cudaMemsetAsync(device_data, byte, static_cast<std::size_t>(size_bytes), stream_));
  }
  void Synchronize() override { C10_CUDA_CHECK(cudaStreamSynchronize(stream_)); }

  void FillRandom(void* device_data, const std::string& dtype, std::int64_t size_bytes,
                  std::uint64_t seed) override {
    C10_CUDA_CHECK(FillRandomOnDevice(device_data, dtype, size_bytes, seed, stream_));
  }

  /// Of the whole card: the driver's count for one process is not to be had everywhere. Right if
  /// nobody else uses the card.
  std::int64_t ProcessBytes() const override {
    std::size_t free_bytes = 0;
    std::size_t total_bytes = 0;
    C10_CUDA_CHECK(cudaMemGetInfo(&free_bytes, &total_bytes));
    return static_cast<std::int64_t>(total_bytes - free_bytes);
  }

  std::unique_ptr<DeviceGraph> CaptureGraph(const std::function<void()>& issue) override {
    // Relaxed: libraries and LibTorch's allocator may call cudaMalloc meanwhile.
    C10_CUDA_CHECK(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeRelaxed));
    cudaGraph_t graph = nullptr;
    try {
      issue();
    } catch (...) {
      if (cudaStreamEndCapture(stream_, &graph) == cudaSuccess) {
        C10_CUDA_CHECK_WARN(cudaGraphDestroy(graph));
      }
      cudaGetLastError();  // The next call is not to blame.
      throw;
    }
    C10_CUDA_CHECK(cudaStreamEndCapture(stream_, &graph));
    return std::make_unique<CudaGraph>(graph, stream_);
  }

  std::vector<std::int64_t> TimeEach(std::int64_t count,
                                     const std::function<void(std::int64_t)>& issue) override {
    Synchronize();
    Events events(static_cast<std::size_t>(count) + 1);
    events.Record(0, stream_);
    for (std::int64_t i = 0; i < count; ++i) {
      issue(i);
      events.Record(static_cast<std::size_t>(i) + 1, stream_);
    }
    return events.Differences();
  }

  void SetDeterministic(bool is_deterministic) override { ChooseKernels(is_deterministic); }

  void ReleaseLibraryWorkspaces() override {
    Synchronize();
    at::cuda::clearCublasWorkspaces();
  }

 private:
  /// A stream from LibTorch's pool would come with dozens of others. Streams that share a queue of
  /// the card must not wait for each other.
  static cudaStream_t MakeStream() {
    cudaStream_t stream = nullptr;
    C10_CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    return stream;
  }

  void Copy(void* target, const void* source, std::int64_t size_bytes, cudaMemcpyKind direction) {
    C10_CUDA_CHECK(
        cudaMemcpyAsync(target, source, static_cast<std::size_t>(size_bytes), direction, stream_));
    Synchronize();
  }

  c10::DeviceIndex device_;
  c10::cuda::CUDAStream stream_before_;
  c10::cuda::CUDAStream stream_;
};

}  // namespace

std::unique_ptr<DeviceRuntime> MakeCudaRuntime(int device_index) {
  // Read by cuBLAS when it starts: with workspaces of this size its results do not vary.
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
  // Read when CUDA starts: a queue of the card for each stream, as far as there are any.
  setenv("CUDA_DEVICE_MAX_CONNECTIONS", "32", /*overwrite=*/0);
  const int device_count = c10::cuda::device_count();
  if (device_index >= device_count) {
    throw InputError("--device", fmt::format("cuda:{}: this machine has {} CUDA devices",
                                             device_index, device_count));
  }
  InstallCudaAllocatorHook();
  at::globalContext().lazyInitDevice(at::kCUDA);
  c10::cuda::set_device(static_cast<c10::DeviceIndex>(device_index));
  return std::make_unique<CudaRuntime>(static_cast<c10::DeviceIndex>(device_index));
}

}  // namespace stint
