#include "dispatch/copy_streams_cuda.h"

#include <c10/cuda/CUDAException.h>
#include <cuda.h>

#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "dispatch/counters.h"
#include "dispatch/random_fill.h"
#include "ir/errors.h"

namespace stint {
namespace {

constexpr unsigned kDriverVersion = 12000;  // The first with the stream memory operations of today.
constexpr std::size_t kCounterBytes = 256;  // Each counter on a line of its own.

std::size_t Slot(Stream stream) { return static_cast<std::size_t>(stream); }

/// The driver's own functions; Stint links with the runtime only. Copy streams wait by these:
/// beside a copy, a kernel would take a place on the card's multiprocessors.
struct StreamMemoryOps {
  decltype(&cuStreamWriteValue32) write = nullptr;
  decltype(&cuStreamWaitValue32) wait = nullptr;
};

void* FindDriverFunction(const char* name) {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found{};
  const cudaError_t error =
      cudaGetDriverEntryPointByVersion(name, &function, kDriverVersion, cudaEnableDefault, &found);
  if (error == cudaSuccess && found == cudaDriverEntryPointSuccess) return function;
  cudaGetLastError();  // An answer, not a fault that stays.
  return nullptr;
}

std::optional<StreamMemoryOps> FindStreamMemoryOps() {
  const StreamMemoryOps ops = {.write = reinterpret_cast<decltype(&cuStreamWriteValue32)>(
                                   FindDriverFunction("cuStreamWriteValue32")),
                               .wait = reinterpret_cast<decltype(&cuStreamWaitValue32)>(
                                   FindDriverFunction("cuStreamWaitValue32"))};
  if (ops.write == nullptr || ops.wait == nullptr) return std::nullopt;
  return ops;
}

void CheckDriver(CUresult result, const char* what) {
  if (result == CUDA_SUCCESS) return;
  TORCH_CHECK(false, "CUDA driver error ", static_cast<int>(result), " in ", what);
}

class CudaCopyStreams final : public CopyStreams {
 public:
  CudaCopyStreams(cudaStream_t compute, const StreamMemoryOps& ops) : ops_(ops) {
    streams_[Slot(Stream::kCompute)] = compute;
    for (const Stream stream : {Stream::kToHost, Stream::kToDevice}) {
      C10_CUDA_CHECK(cudaStreamCreateWithFlags(&streams_[Slot(stream)], cudaStreamNonBlocking));
    }
    for (cudaEvent_t& event : joins_) {
      C10_CUDA_CHECK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    }
    void* data = nullptr;
    C10_CUDA_CHECK(cudaMalloc(&data, kStreamCount * kCounterBytes));
    counters_ = reinterpret_cast<CUdeviceptr>(data);
    C10_CUDA_CHECK(cudaMemsetAsync(data, 0, kStreamCount * kCounterBytes, compute));
    // A kernel is loaded when it first runs, and the driver may wait for all streams then, also for
    // one that waits for what is to come.
    C10_CUDA_CHECK(LaunchDelay(0, compute));
    C10_CUDA_CHECK(LaunchSignal(DataOf(Stream::kCompute), 0, compute));
    C10_CUDA_CHECK(LaunchAwait(DataOf(Stream::kCompute), 0, compute));
    C10_CUDA_CHECK(cudaStreamSynchronize(compute));
  }

  ~CudaCopyStreams() override {
    ReleaseAll();
    for (const cudaStream_t stream : streams_) C10_CUDA_CHECK_WARN(cudaStreamSynchronize(stream));
    for (const Stream stream : {Stream::kToHost, Stream::kToDevice}) {
      C10_CUDA_CHECK_WARN(cudaStreamDestroy(streams_[Slot(stream)]));
    }
    for (const cudaEvent_t event : joins_) C10_CUDA_CHECK_WARN(cudaEventDestroy(event));
    for (const cudaEvent_t event : marks_) C10_CUDA_CHECK_WARN(cudaEventDestroy(event));
    C10_CUDA_CHECK_WARN(cudaFree(reinterpret_cast<void*>(counters_)));
  }

  void Begin() override {
    for (const Stream stream : {Stream::kCompute, Stream::kToHost, Stream::kToDevice}) {
      Write(Stream::kCompute, stream, 0);
    }
    const cudaStream_t compute = StreamOf(Stream::kCompute);
    C10_CUDA_CHECK(cudaEventRecord(joins_[0], compute));
    C10_CUDA_CHECK(cudaStreamWaitEvent(StreamOf(Stream::kToHost), joins_[0]));
    C10_CUDA_CHECK(cudaStreamWaitEvent(StreamOf(Stream::kToDevice), joins_[0]));
  }

  void End() override {
    for (const Stream stream : {Stream::kToHost, Stream::kToDevice}) {
      C10_CUDA_CHECK(cudaEventRecord(joins_[Slot(stream)], StreamOf(stream)));
      C10_CUDA_CHECK(cudaStreamWaitEvent(StreamOf(Stream::kCompute), joins_[Slot(stream)]));
    }
  }

  void Copy(Stream stream, void* target, const void* source, std::int64_t size_bytes) override {
    C10_CUDA_CHECK(
        cudaMemcpyAsync(target, source, static_cast<std::size_t>(size_bytes),
                        stream == Stream::kToHost ? cudaMemcpyDeviceToHost : cudaMemcpyHostToDevice,
                        StreamOf(stream)));
  }

  void Fill(Stream stream, void* device_data, std::uint8_t byte, std::int64_t size_bytes) override {
    C10_CUDA_CHECK(
        cudaMemsetAsync(device_data, byte, static_cast<std::size_t>(size_bytes), StreamOf(stream)));
  }

  void Signal(Stream stream, std::int32_t count) override {
    if (stream != Stream::kCompute) return Write(stream, stream, count);
    C10_CUDA_CHECK(
        LaunchSignal(DataOf(stream), static_cast<std::uint32_t>(count), StreamOf(stream)));
  }

  void Await(Stream stream, Stream other, std::int32_t count) override {
    if (stream == Stream::kCompute) {
      C10_CUDA_CHECK(
          LaunchAwait(DataOf(other), static_cast<std::uint32_t>(count), StreamOf(stream)));
      return;
    }
    CheckDriver(ops_.wait(StreamOf(stream), CounterOf(other), static_cast<cuuint32_t>(count),
                          CU_STREAM_WAIT_VALUE_GEQ),
                "cuStreamWaitValue32");
  }

  void Delay(Stream stream, std::int64_t duration_ns) override {
    C10_CUDA_CHECK(LaunchDelay(duration_ns, StreamOf(stream)));
  }

  void Mark(Stream stream, std::size_t mark) override {
    while (marks_.size() <= mark) {
      marks_.emplace_back();
      C10_CUDA_CHECK(cudaEventCreate(&marks_.back()));
    }
    cudaStreamCaptureStatus capture{};
    C10_CUDA_CHECK(cudaStreamIsCapturing(StreamOf(stream), &capture));
    // External: in a graph, a record that can be asked for its time after each launch.
    C10_CUDA_CHECK(cudaEventRecordWithFlags(marks_[mark], StreamOf(stream),
                                            capture == cudaStreamCaptureStatusActive
                                                ? cudaEventRecordExternal
                                                : cudaEventRecordDefault));
  }

  std::int64_t TimeBetween(std::size_t begin_mark, std::size_t end_mark) const override {
    float milliseconds = 0;
    C10_CUDA_CHECK(cudaEventElapsedTime(&milliseconds, marks_.at(begin_mark), marks_.at(end_mark)));
    return std::llround(static_cast<double>(milliseconds) * 1e6);
  }

 private:
  cudaStream_t StreamOf(Stream stream) const { return streams_[Slot(stream)]; }
  CUdeviceptr CounterOf(Stream stream) const { return counters_ + Slot(stream) * kCounterBytes; }
  std::uint32_t* DataOf(Stream stream) const {
    return reinterpret_cast<std::uint32_t*>(CounterOf(stream));
  }

  /// After an error, streams may wait for what will never be given.
  void ReleaseAll() {
    cudaStream_t free_stream = nullptr;
    C10_CUDA_CHECK_WARN(cudaStreamCreateWithFlags(&free_stream, cudaStreamNonBlocking));
    for (const Stream stream : {Stream::kCompute, Stream::kToHost, Stream::kToDevice}) {
      ops_.write(free_stream, CounterOf(stream), std::numeric_limits<std::int32_t>::max(),
                 CU_STREAM_WRITE_VALUE_DEFAULT);
    }
    C10_CUDA_CHECK_WARN(cudaStreamSynchronize(free_stream));
    C10_CUDA_CHECK_WARN(cudaStreamDestroy(free_stream));
  }

  /// On `stream`, sets the counter of `counted`.
  void Write(Stream stream, Stream counted, std::int32_t count) {
    CheckDriver(ops_.write(StreamOf(stream), CounterOf(counted), static_cast<cuuint32_t>(count),
                           CU_STREAM_WRITE_VALUE_DEFAULT),
                "cuStreamWriteValue32");
  }

  StreamMemoryOps ops_;
  std::array<cudaStream_t, kStreamCount> streams_{};
  std::array<cudaEvent_t, kStreamCount> joins_{};  // By stream: where others wait for it.
  CUdeviceptr counters_ = 0;
  std::vector<cudaEvent_t> marks_{};
};

}  // namespace

std::unique_ptr<CopyStreams> MakeCudaCopyStreams(cudaStream_t compute) {
  const std::optional<StreamMemoryOps> ops = FindStreamMemoryOps();
  if (!ops) return nullptr;
  return std::make_unique<CudaCopyStreams>(compute, *ops);
}

}  // namespace stint
