#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>

#include "dispatch/random_fill.h"

namespace stint {
namespace {

constexpr int kThreadCount = 256;
constexpr std::int64_t kBlockLimit = 4096;

/// Element `index` of a stream of random words (SplitMix64).
__device__ std::uint64_t RandomWord(std::uint64_t seed, std::int64_t index) {
  std::uint64_t word = seed + (static_cast<std::uint64_t>(index) + 1) * 0x9e3779b97f4a7c15ULL;
  word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9ULL;
  word = (word ^ (word >> 27)) * 0x94d049bb133111ebULL;
  return word ^ (word >> 31);
}

__device__ void Store(double* element, std::uint64_t word) {
  *element = static_cast<double>(word >> 11) * 0x1p-53;
}
__device__ void Store(float* element, std::uint64_t word) {
  *element = static_cast<float>(word >> 40) * 0x1p-24F;
}
// 256 evenly spaced numbers: both 16-bit types hold them exactly, so none rounds up to 1.
__device__ void Store(__half* element, std::uint64_t word) {
  *element = __float2half(static_cast<float>(word >> 56) / 256.0F);
}
__device__ void Store(__nv_bfloat16* element, std::uint64_t word) {
  *element = __float2bfloat16(static_cast<float>(word >> 56) / 256.0F);
}

template <typename Element>
__global__ void FillKernel(Element* elements, std::int64_t count, std::uint64_t seed) {
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += step) {
    Store(elements + i, RandomWord(seed, i));
  }
}

__global__ void EmptyKernel() {}

__device__ std::int64_t Now() {
  std::int64_t now_ns = 0;
  asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now_ns));
  return now_ns;
}

__global__ void DelayKernel(std::int64_t duration_ns) {
  const std::int64_t begin_ns = Now();
  while (Now() - begin_ns < duration_ns) {
  }
}

template <typename Element>
cudaError_t Fill(void* data, std::int64_t size_bytes, std::uint64_t seed, cudaStream_t stream) {
  const std::int64_t count = size_bytes / static_cast<std::int64_t>(sizeof(Element));
  if (count == 0) return cudaSuccess;
  const std::int64_t block_count = std::min((count + kThreadCount - 1) / kThreadCount, kBlockLimit);
  FillKernel<<<static_cast<unsigned>(block_count), kThreadCount, 0, stream>>>(
      static_cast<Element*>(data), count, seed);
  return cudaGetLastError();
}

}  // namespace

cudaError_t FillRandomOnDevice(void* data, const std::string& dtype, std::int64_t size_bytes,
                               std::uint64_t seed, cudaStream_t stream) {
  if (dtype == "float64") return Fill<double>(data, size_bytes, seed, stream);
  if (dtype == "float32") return Fill<float>(data, size_bytes, seed, stream);
  if (dtype == "float16") return Fill<__half>(data, size_bytes, seed, stream);
  if (dtype == "bfloat16") return Fill<__nv_bfloat16>(data, size_bytes, seed, stream);
  return cudaMemsetAsync(data, 0, static_cast<std::size_t>(size_bytes), stream);
}

cudaError_t LaunchEmptyKernels(int count, cudaStream_t stream) {
  for (int i = 0; i < count; ++i) EmptyKernel<<<1, 1, 0, stream>>>();
  return cudaGetLastError();
}

cudaError_t LaunchDelay(std::int64_t duration_ns, cudaStream_t stream) {
  DelayKernel<<<1, 1, 0, stream>>>(duration_ns);
  return cudaGetLastError();
}

}  // namespace stint
