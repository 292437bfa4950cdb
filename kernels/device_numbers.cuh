// Elements of tensors in CUDA kernels: 16 bytes at a time, float32 arithmetic. Internal to
// kernels/.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace stint {

/// Neighbours that are read and written together.
template <typename Element, int kCount>
struct alignas(sizeof(Element) * kCount) Pack {
  Element values[kCount];
};

/// Elements in 16 bytes.
template <typename Element>
inline constexpr int kPackCount = 16 / static_cast<int>(sizeof(Element));

__device__ inline float ToFloat(float value) { return value; }
__device__ inline float ToFloat(__half value) { return __half2float(value); }
__device__ inline float ToFloat(__nv_bfloat16 value) { return __bfloat162float(value); }

template <typename Element>
__device__ Element FromFloat(float value);
template <>
__device__ inline float FromFloat<float>(float value) {
  return value;
}
template <>
__device__ inline __half FromFloat<__half>(float value) {
  return __float2half_rn(value);
}
template <>
__device__ inline __nv_bfloat16 FromFloat<__nv_bfloat16>(float value) {
  return __float2bfloat16_rn(value);
}

/// Of memory that nobody writes meanwhile: stores do not hold up the next loads.
template <int kCount, typename Element>
__device__ Pack<Element, kCount> LoadPack(const Element* elements) {
  if constexpr (sizeof(Element) * kCount == sizeof(uint4)) {
    const uint4 words = __ldg(reinterpret_cast<const uint4*>(elements));
    return *reinterpret_cast<const Pack<Element, kCount>*>(&words);
  } else {
    return *reinterpret_cast<const Pack<Element, kCount>*>(elements);
  }
}

template <int kCount, typename Element>
__device__ void StorePack(Element* elements, const Pack<Element, kCount>& pack) {
  *reinterpret_cast<Pack<Element, kCount>*>(elements) = pack;
}

/// Adds up `count` floats that lie `stride` apart.
__device__ inline float SumOf(const float* values, int count, int stride) {
  float sum = 0;
  for (int i = 0; i < count; ++i) sum += values[i * stride];
  return sum;
}

/// Floats of one thread, as few stores as can be: neighbours of a warp then use all banks.
template <int kCount>
__device__ void StoreFloats(float* target, const float (&values)[kCount]) {
  if constexpr (kCount % 4 == 0) {
#pragma unroll
    for (int i = 0; i < kCount; i += 4) {
      *reinterpret_cast<float4*>(target + i) =
          make_float4(values[i], values[i + 1], values[i + 2], values[i + 3]);
    }
  } else {
#pragma unroll
    for (int i = 0; i < kCount; ++i) target[i] = values[i];
  }
}

/// The sum over a warp, the same in every lane.
template <typename Number>
__device__ Number SumOfWarp(Number value) {
  for (int distance = 16; distance > 0; distance /= 2) {
    value += __shfl_xor_sync(0xffffffffU, value, distance);
  }
  return value;
}

}  // namespace stint
