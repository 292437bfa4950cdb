#include <algorithm>

#include "kernels/device_numbers.cuh"
#include "kernels/geglu_kernels.h"

namespace stint {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kMaxBlocks = 4096;

/// The share of a normal distribution below `value`.
__device__ float NormalShare(float value) {
  constexpr float kRootHalf = 0.70710678118654752F;
  return 0.5F * (1.0F + erff(value * kRootHalf));
}

__device__ float NormalDensity(float value) {
  constexpr float kScale = 0.39894228040143268F;  // 1 / sqrt(2 pi)
  return kScale * __expf(-0.5F * value * value);
}

/// Calls visit(offset in the output, offset of the value, offset of the gate) for each pack.
template <int kWidth, typename Visitor>
__device__ void ForEachPack(long long row_count, long long size, const Visitor& visit) {
  const long long pack_count = size / kWidth;
  const long long step = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
       i < row_count * pack_count; i += step) {
    const long long row = i / pack_count;
    const long long column = (i - row * pack_count) * kWidth;
    visit(row * size + column, 2 * row * size + column, 2 * row * size + size + column);
  }
}

template <typename Element, int kWidth>
__global__ void __launch_bounds__(kThreads)
    Forward(long long row_count, long long size, const Element* input, Element* output) {
  ForEachPack<kWidth>(row_count, size, [&](long long out, long long value, long long gate) {
    auto values = LoadPack<kWidth>(input + value);
    const auto gates = LoadPack<kWidth>(input + gate);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      const float g = ToFloat(gates.values[i]);
      values.values[i] = FromFloat<Element>(ToFloat(values.values[i]) * g * NormalShare(g));
    }
    StorePack<kWidth>(output + out, values);
  });
}

template <typename Element, int kWidth>
__global__ void __launch_bounds__(kThreads)
    Backward(long long row_count, long long size, const Element* grad_output, const Element* input,
             Element* grad_input) {
  ForEachPack<kWidth>(row_count, size, [&](long long out, long long value, long long gate) {
    const auto grads = LoadPack<kWidth>(grad_output + out);
    auto values = LoadPack<kWidth>(input + value);
    auto gates = LoadPack<kWidth>(input + gate);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      const float grad = ToFloat(grads.values[i]);
      const float v = ToFloat(values.values[i]);
      const float g = ToFloat(gates.values[i]);
      const float share = NormalShare(g);
      values.values[i] = FromFloat<Element>(grad * g * share);
      gates.values[i] = FromFloat<Element>(grad * v * fmaf(g, NormalDensity(g), share));
    }
    StorePack<kWidth>(grad_input + value, values);
    StorePack<kWidth>(grad_input + gate, gates);
  });
}

/// Calls launch.template operator()<Element, width of a pack>(block count) for the shape at hand.
template <typename Launch>
cudaError_t Dispatch(const GegluShape& shape, const Launch& launch) {
  const auto with_element = [&]<typename Element>() {
    constexpr int kWide = kPackCount<Element>;
    const bool is_wide = shape.is_aligned && shape.size % kWide == 0;
    const std::int64_t pack_count = shape.row_count * shape.size / (is_wide ? kWide : 1);
    if (pack_count == 0) return cudaSuccess;
    const auto block_count =
        static_cast<unsigned>(std::min((pack_count + kThreads - 1) / kThreads, kMaxBlocks));
    if (is_wide) {
      launch.template operator()<Element, kWide>(block_count);
    } else {
      launch.template operator()<Element, 1>(block_count);
    }
    return cudaGetLastError();
  };
  switch (shape.kind) {
    case ElementKind::kFloat32:
      return with_element.template operator()<float>();
    case ElementKind::kFloat16:
      return with_element.template operator()<__half>();
    case ElementKind::kBfloat16:
      return with_element.template operator()<__nv_bfloat16>();
  }
  return cudaErrorInvalidValue;
}

}  // namespace

cudaError_t LaunchGegluForward(const GegluShape& shape, const void* input, void* output,
                               cudaStream_t stream) {
  return Dispatch(shape, [&]<typename Element, int kWidth>(unsigned block_count) {
    Forward<Element, kWidth><<<block_count, kThreads, 0, stream>>>(
        shape.row_count, shape.size, static_cast<const Element*>(input),
        static_cast<Element*>(output));
  });
}

cudaError_t LaunchGegluBackward(const GegluShape& shape, const void* grad_output, const void* input,
                                void* grad_input, cudaStream_t stream) {
  return Dispatch(shape, [&]<typename Element, int kWidth>(unsigned block_count) {
    Backward<Element, kWidth><<<block_count, kThreads, 0, stream>>>(
        shape.row_count, shape.size, static_cast<const Element*>(grad_output),
        static_cast<const Element*>(input), static_cast<Element*>(grad_input));
  });
}

}  // namespace stint
