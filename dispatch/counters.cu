#include "dispatch/counters.h"

namespace stint {
namespace {

// The system's scope: copies and their counts come from outside of the card's multiprocessors.
__global__ void AwaitKernel(const std::uint32_t* counter, std::uint32_t count) {
  std::uint32_t value = 0;
  do {
    asm volatile("ld.acquire.sys.global.u32 %0, [%1];" : "=r"(value) : "l"(counter) : "memory");
  } while (value < count);
}

__global__ void SignalKernel(std::uint32_t* counter, std::uint32_t count) {
  asm volatile("st.release.sys.global.u32 [%0], %1;" ::"l"(counter), "r"(count) : "memory");
}

}  // namespace

cudaError_t LaunchAwait(const std::uint32_t* counter, std::uint32_t count, cudaStream_t stream) {
  AwaitKernel<<<1, 1, 0, stream>>>(counter, count);
  return cudaGetLastError();
}

cudaError_t LaunchSignal(std::uint32_t* counter, std::uint32_t count, cudaStream_t stream) {
  SignalKernel<<<1, 1, 0, stream>>>(counter, count);
  return cudaGetLastError();
}

}  // namespace stint
