#include <algorithm>

#include "kernels/device_numbers.cuh"
#include "kernels/layer_norm_kernels.h"
#include "kernels/partial_rows.cuh"

namespace stint {
namespace {

constexpr int kWarpSize = 32;
constexpr int kWarps = 8;  // Of a block: rows at a time.
constexpr int kThreads = kWarpSize * kWarps;
constexpr int kMaxBackwardBlocks = 264;  // Each leaves a row of sums behind.

__device__ int Lane() { return static_cast<int>(threadIdx.x) % kWarpSize; }
__device__ int Warp() { return static_cast<int>(threadIdx.x) / kWarpSize; }

/// Adds the residual, if there is one, and keeps the sum. Returns what is to be normalised.
template <typename Element, int kWidth>
__device__ Pack<Element, kWidth> AddResidual(Pack<Element, kWidth> values, const Element* residual,
                                             Element* sum, long long offset) {
  if (residual == nullptr) return values;
  const auto others = LoadPack<kWidth>(residual + offset);
#pragma unroll
  for (int i = 0; i < kWidth; ++i) {
    values.values[i] = FromFloat<Element>(ToFloat(values.values[i]) + ToFloat(others.values[i]));
  }
  StorePack<kWidth>(sum + offset, values);
  return values;
}

template <typename Element, int kWidth, int kPacks>
__global__ void __launch_bounds__(kThreads)
    Normalise(int row_count, int size, float epsilon, const Element* input, const Element* residual,
              const Element* weight, const Element* bias, Element* sum, Element* output,
              float* mean, float* rstd) {
  const int row = static_cast<int>(blockIdx.x) * kWarps + Warp();
  if (row >= row_count) return;
  const long long first = static_cast<long long>(row) * size;
  Pack<Element, kWidth> values[kPacks];
  float total = 0;
#pragma unroll
  for (int k = 0; k < kPacks; ++k) {
    const int column = (k * kWarpSize + Lane()) * kWidth;
    if (column >= size) break;
    values[k] = AddResidual<Element, kWidth>(LoadPack<kWidth>(input + first + column), residual,
                                             sum, first + column);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) total += ToFloat(values[k].values[i]);
  }
  const float center = SumOfWarp(total) / static_cast<float>(size);
  float square = 0;
#pragma unroll
  for (int k = 0; k < kPacks; ++k) {
    if ((k * kWarpSize + Lane()) * kWidth >= size) break;
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      const float distance = ToFloat(values[k].values[i]) - center;
      square = fmaf(distance, distance, square);
    }
  }
  const float scale = rsqrtf(SumOfWarp(square) / static_cast<float>(size) + epsilon);
#pragma unroll
  for (int k = 0; k < kPacks; ++k) {
    const int column = (k * kWarpSize + Lane()) * kWidth;
    if (column >= size) break;
    const auto weights = LoadPack<kWidth>(weight + column);
    const auto biases = LoadPack<kWidth>(bias + column);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      const float n = (ToFloat(values[k].values[i]) - center) * scale;
      values[k].values[i] =
          FromFloat<Element>(fmaf(n, ToFloat(weights.values[i]), ToFloat(biases.values[i])));
    }
    StorePack<kWidth>(output + first + column, values[k]);
  }
  if (Lane() == 0) {
    mean[row] = center;
    rstd[row] = scale;
  }
}

template <typename Element>
struct BackwardInputs {
  int row_count = 0;
  int size = 0;
  const Element* grad_output = nullptr;
  const Element* grad_sum = nullptr;
  const Element* sum = nullptr;
  const Element* weight = nullptr;
  const float* mean = nullptr;
  const float* rstd = nullptr;
};

/// Gradients of rows; scratch [blocks, 2, size]: each block's sums over its rows for the gradients
/// of weight and bias.
template <typename Element, int kWidth, int kPacks>
__global__ void __launch_bounds__(kThreads)
    FindGradients(BackwardInputs<Element> inputs, Element* grad_input, float* scratch) {
  extern __shared__ __align__(16) float shared[];  // [warps, size]
  const int size = inputs.size;
  float weight_sums[kPacks][kWidth] = {};
  float bias_sums[kPacks][kWidth] = {};
  for (int row = static_cast<int>(blockIdx.x) * kWarps + Warp(); row < inputs.row_count;
       row += static_cast<int>(gridDim.x) * kWarps) {
    const long long first = static_cast<long long>(row) * size;
    const float center = inputs.mean[row];
    const float scale = inputs.rstd[row];
    Pack<Element, kWidth> grads[kPacks];
    Pack<Element, kWidth> values[kPacks];
    float sum_g = 0;  // g: gradient of the normalised value n.
    float sum_g_n = 0;
#pragma unroll
    for (int k = 0; k < kPacks; ++k) {
      const int column = (k * kWarpSize + Lane()) * kWidth;
      if (column >= size) break;
      grads[k] = LoadPack<kWidth>(inputs.grad_output + first + column);
      values[k] = LoadPack<kWidth>(inputs.sum + first + column);
    }
#pragma unroll
    for (int k = 0; k < kPacks; ++k) {
      const int column = (k * kWarpSize + Lane()) * kWidth;
      if (column >= size) break;
      const auto weights = LoadPack<kWidth>(inputs.weight + column);
#pragma unroll
      for (int i = 0; i < kWidth; ++i) {
        const float n = (ToFloat(values[k].values[i]) - center) * scale;
        const float grad = ToFloat(grads[k].values[i]);
        weight_sums[k][i] = fmaf(grad, n, weight_sums[k][i]);
        bias_sums[k][i] += grad;
        const float g = grad * ToFloat(weights.values[i]);
        sum_g += g;
        sum_g_n = fmaf(g, n, sum_g_n);
      }
    }
    const float mean_g = SumOfWarp(sum_g) / static_cast<float>(size);
    const float mean_g_n = SumOfWarp(sum_g_n) / static_cast<float>(size);
#pragma unroll
    for (int k = 0; k < kPacks; ++k) {
      const int column = (k * kWarpSize + Lane()) * kWidth;
      if (column >= size) break;
      const auto weights = LoadPack<kWidth>(inputs.weight + column);
      Pack<Element, kWidth> others;
      if (inputs.grad_sum != nullptr) others = LoadPack<kWidth>(inputs.grad_sum + first + column);
#pragma unroll
      for (int i = 0; i < kWidth; ++i) {
        const float n = (ToFloat(values[k].values[i]) - center) * scale;
        const float g = ToFloat(grads[k].values[i]) * ToFloat(weights.values[i]);
        float gradient = scale * (g - mean_g - n * mean_g_n);
        if (inputs.grad_sum != nullptr) gradient += ToFloat(others.values[i]);
        grads[k].values[i] = FromFloat<Element>(gradient);
      }
      StorePack<kWidth>(grad_input + first + column, grads[k]);
    }
  }
  const auto add_warps = [&](const float(&sums)[kPacks][kWidth], int which) {
#pragma unroll
    for (int k = 0; k < kPacks; ++k) {
      const int column = (k * kWarpSize + Lane()) * kWidth;
      if (column < size) StoreFloats(shared + Warp() * size + column, sums[k]);
    }
    __syncthreads();
    float* const out = scratch + (static_cast<long long>(blockIdx.x) * 2 + which) * size;
    for (int k = static_cast<int>(threadIdx.x); k < size; k += kThreads) {
      out[k] = SumOf(shared + k, kWarps, size);
    }
    __syncthreads();
  };
  add_warps(weight_sums, 0);
  add_warps(bias_sums, 1);
}

/// Packs of a lane that rows of `size` need, as far as kernels are compiled for it; else 0.
int PacksFor(const LayerNormShape& shape) {
  const int width = shape.kind == ElementKind::kFloat32 ? 4 : 8;
  if (shape.size % width != 0) return 0;
  const int needed = (shape.size / width + kWarpSize - 1) / kWarpSize;
  for (const int packs : {2, 3, 5, 10}) {
    if (needed <= packs) return packs == 10 && width == 8 ? 0 : packs;
  }
  return 0;
}

int BackwardBlocks(const LayerNormShape& shape) {
  return std::min((shape.row_count + kWarps - 1) / kWarps, kMaxBackwardBlocks);
}

template <typename Element, int kPacks>
void Forward(const LayerNormShape& shape, float epsilon, const LayerNormForwardPointers& pointers,
             cudaStream_t stream) {
  const auto block_count = static_cast<unsigned>((shape.row_count + kWarps - 1) / kWarps);
  Normalise<Element, kPackCount<Element>, kPacks><<<block_count, kThreads, 0, stream>>>(
      shape.row_count, shape.size, epsilon, static_cast<const Element*>(pointers.input),
      static_cast<const Element*>(pointers.residual), static_cast<const Element*>(pointers.weight),
      static_cast<const Element*>(pointers.bias), static_cast<Element*>(pointers.sum),
      static_cast<Element*>(pointers.output), pointers.mean, pointers.rstd);
}

template <typename Element, int kPacks>
void Backward(const LayerNormShape& shape, const LayerNormBackwardPointers& pointers,
              cudaStream_t stream) {
  const BackwardInputs<Element> inputs = {
      .row_count = shape.row_count,
      .size = shape.size,
      .grad_output = static_cast<const Element*>(pointers.grad_output),
      .grad_sum = static_cast<const Element*>(pointers.grad_sum),
      .sum = static_cast<const Element*>(pointers.sum),
      .weight = static_cast<const Element*>(pointers.weight),
      .mean = pointers.mean,
      .rstd = pointers.rstd};
  const int block_count = BackwardBlocks(shape);
  const std::size_t shared_bytes = kWarps * sizeof(float) * static_cast<std::size_t>(shape.size);
  FindGradients<Element, kPackCount<Element>, kPacks>
      <<<static_cast<unsigned>(block_count), kThreads, shared_bytes, stream>>>(
          inputs, static_cast<Element*>(pointers.grad_input), pointers.scratch);
  AddPartialRows(pointers.scratch, block_count, 2 * shape.size, shape.size,
                 static_cast<Element*>(pointers.grad_weight),
                 static_cast<Element*>(pointers.grad_bias), stream);
}

/// Calls launch.template operator()<Element, packs>() for the shape at hand.
template <typename Launch>
cudaError_t Dispatch(const LayerNormShape& shape, const Launch& launch) {
  const auto with_element = [&]<typename Element>() {
    switch (PacksFor(shape)) {
      case 2:
        launch.template operator()<Element, 2>();
        break;
      case 3:
        launch.template operator()<Element, 3>();
        break;
      case 5:
        launch.template operator()<Element, 5>();
        break;
      case 10:
        if constexpr (sizeof(Element) == sizeof(float)) {
          launch.template operator()<Element, 10>();
          break;
        }
        [[fallthrough]];
      default:
        return cudaErrorInvalidValue;
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

bool HasLayerNormKernel(const LayerNormShape& shape) { return PacksFor(shape) > 0; }

std::int64_t LayerNormScratchBytes(const LayerNormShape& shape) {
  return static_cast<std::int64_t>(sizeof(float)) * 2 * shape.size * BackwardBlocks(shape);
}

cudaError_t LaunchLayerNormForward(const LayerNormShape& shape, float epsilon,
                                   const LayerNormForwardPointers& pointers, cudaStream_t stream) {
  return Dispatch(shape, [&]<typename Element, int kPacks>() {
    Forward<Element, kPacks>(shape, epsilon, pointers, stream);
  });
}

cudaError_t LaunchLayerNormBackward(const LayerNormShape& shape,
                                    const LayerNormBackwardPointers& pointers,
                                    cudaStream_t stream) {
  return Dispatch(shape, [&]<typename Element, int kPacks>() {
    Backward<Element, kPacks>(shape, pointers, stream);
  });
}

}  // namespace stint
