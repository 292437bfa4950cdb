#include <algorithm>

#include "kernels/device_numbers.cuh"
#include "kernels/group_norm_kernels.h"

namespace stint {
namespace {

constexpr int kWarpSize = 32;
constexpr int kThreadTarget = 256;  // Of a block that goes over pixels.
constexpr int kMaxThreads = 512;
constexpr int kBlockTarget = 264;     // Of a launch: two for each multiprocessor of a large card.
constexpr int kCombineThreads = 256;  // Of a block that finds statistics.
constexpr int kGroupThreads = 512;    // Of a block that adds up the chunks of a group.
constexpr int kSumCount = 3;          // Kept of each channel in backward; see ChannelSums.
constexpr int kUnrolled = 4;          // Rows whose loads are under way together.

/// How a launch goes over [batch, pixels, channels]: a block takes a chunk of the pixels of one
/// sample, `row_count` pixels at a time; a thread always the same pack of channels. At least 129
/// threads.
struct Tiling {
  int pack_count = 0;    // Of a pixel.
  int row_count = 0;     // Pixels that a block reads at once.
  int chunk_count = 0;   // Of a sample.
  int chunk_pixels = 0;  // Of all chunks but perhaps the last.

  int ThreadCount() const { return pack_count * row_count; }
};

/// A pack is 16 bytes wide where all pixels begin at multiples of that, else one element.
int PackWidth(const GroupNormShape& shape) {
  const int width = shape.kind == ElementKind::kFloat32 ? 4 : 8;
  return shape.is_aligned && shape.channel_count % width == 0 ? width : 1;
}

Tiling TilingOf(const GroupNormShape& shape) {
  Tiling tiling;
  // Wide pixels without wide packs take several turns of a block.
  tiling.pack_count = std::min(shape.channel_count / PackWidth(shape), kMaxThreads);
  tiling.row_count = std::max(1, kThreadTarget / tiling.pack_count);
  // Chunks of a few turns each: the sums of a chunk shall be few beside what they are the sums of.
  const int turn_pixels = kUnrolled * tiling.row_count;
  const int max_chunks = (shape.pixel_count + turn_pixels - 1) / turn_pixels;
  const int wanted_chunks = std::max(1, kBlockTarget / shape.batch_count);
  tiling.chunk_count = std::min(max_chunks, wanted_chunks);
  tiling.chunk_pixels = (shape.pixel_count + tiling.chunk_count - 1) / tiling.chunk_count;
  tiling.chunk_count = (shape.pixel_count + tiling.chunk_pixels - 1) / tiling.chunk_pixels;
  return tiling;
}

/// What all kernels know of the shape.
struct Sizes {
  int pixel_count = 0;
  int channel_count = 0;
  int group_count = 0;
  int group_channels = 0;  // Of one group.
  int pack_count = 0;      // Threads side by side on one pixel.
  int row_count = 0;
  int chunk_count = 0;
  int chunk_pixels = 0;
};

Sizes SizesOf(const GroupNormShape& shape, const Tiling& tiling) {
  return {.pixel_count = shape.pixel_count,
          .channel_count = shape.channel_count,
          .group_count = shape.group_count,
          .group_channels = shape.channel_count / shape.group_count,
          .pack_count = tiling.pack_count,
          .row_count = tiling.row_count,
          .chunk_count = tiling.chunk_count,
          .chunk_pixels = tiling.chunk_pixels};
}

/// Goes over this thread's column of channels in this block's chunk: calls visit(offset of a pack,
/// load(offset)). Loads of kUnrolled pixels are under way before the first is looked at; those
/// beyond the chunk's end load its last pixel again, so that no branch holds up the others.
template <typename Load, typename Visitor>
__device__ void ForEachPixel(const Sizes& sizes, int channel, const Load& load,
                             const Visitor& visit) {
  const int begin = static_cast<int>(blockIdx.x) * sizes.chunk_pixels;
  const int end = min(begin + sizes.chunk_pixels, sizes.pixel_count);
  const int row = static_cast<int>(threadIdx.x) / sizes.pack_count;
  const long long sample = static_cast<long long>(blockIdx.y) * sizes.pixel_count;
  const auto offset_of = [&](int pixel) {
    return (sample + min(pixel, end - 1)) * sizes.channel_count + channel;
  };
  for (int pixel = begin + row; pixel < end; pixel += kUnrolled * sizes.row_count) {
    decltype(load(0LL)) loaded[kUnrolled];
#pragma unroll
    for (int i = 0; i < kUnrolled; ++i) loaded[i] = load(offset_of(pixel + i * sizes.row_count));
#pragma unroll
    for (int i = 0; i < kUnrolled; ++i) {
      const int own = pixel + i * sizes.row_count;
      if (own < end) visit(offset_of(own), loaded[i]);
    }
  }
}

/// As exact as `Element` can show.
template <typename Element>
__device__ float Sigmoid(float value) {
  if constexpr (sizeof(Element) == sizeof(float)) return 1.0F / (1.0F + expf(-value));
  return __fdividef(1.0F, 1.0F + __expf(-value));
}

/// What is added to a channel before it is normalised.
template <typename Element>
__device__ float ShiftOf(const Sizes& sizes, const Element* shift, int sample, int channel) {
  return shift == nullptr ? 0 : ToFloat(shift[sample * sizes.channel_count + channel]);
}

/// A value of the group: what is far from zero is summed as its distance from this.
template <typename Element>
__device__ float PivotOf(const Sizes& sizes, const Element* input, const Element* shift, int sample,
                         int group) {
  const int channel = group * sizes.group_channels;
  const long long first = static_cast<long long>(sample) * sizes.pixel_count * sizes.channel_count;
  return ToFloat(input[first + channel]) + ShiftOf(sizes, shift, sample, channel);
}

/// scratch [batch, chunks, groups, 2]: sums and sums of squares of distances from the pivot.
template <typename Element, int kWidth>
__global__ void __launch_bounds__(kMaxThreads)
    SumByGroup(Sizes sizes, const Element* input, const Element* shift, float* scratch) {
  extern __shared__ __align__(16) float shared[];  // [2, rows, channels]
  const int sample = static_cast<int>(blockIdx.y);
  const int row = static_cast<int>(threadIdx.x) / sizes.pack_count;
  const int column = static_cast<int>(threadIdx.x) % sizes.pack_count;
  const int plane = sizes.row_count * sizes.channel_count;
  for (int channel = column * kWidth; channel < sizes.channel_count;
       channel += sizes.pack_count * kWidth) {
    float distance[kWidth];  // What turns an element into its distance from the pivot.
    float sums[kWidth] = {};
    float squares[kWidth] = {};
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      const int group = (channel + i) / sizes.group_channels;
      distance[i] =
          ShiftOf(sizes, shift, sample, channel + i) - PivotOf(sizes, input, shift, sample, group);
    }
    const auto load = [&](long long offset) { return LoadPack<kWidth>(input + offset); };
    ForEachPixel(sizes, channel, load, [&](long long /*offset*/, const auto& pack) {
#pragma unroll
      for (int i = 0; i < kWidth; ++i) {
        const float value = ToFloat(pack.values[i]) + distance[i];
        sums[i] += value;
        squares[i] = fmaf(value, value, squares[i]);
      }
    });
    StoreFloats(shared + row * sizes.channel_count + channel, sums);
    StoreFloats(shared + plane + row * sizes.channel_count + channel, squares);
  }
  __syncthreads();
  for (int k = static_cast<int>(threadIdx.x); k < 2 * sizes.channel_count;
       k += static_cast<int>(blockDim.x)) {
    float* const first = shared + (k / sizes.channel_count) * plane + k % sizes.channel_count;
    *first = SumOf(first, sizes.row_count, sizes.channel_count);
  }
  __syncthreads();
  float* const out = scratch + (static_cast<long long>(sample) * sizes.chunk_count + blockIdx.x) *
                                   sizes.group_count * 2;
  for (int k = static_cast<int>(threadIdx.x); k < 2 * sizes.group_count;
       k += static_cast<int>(blockDim.x)) {
    const float* const first = shared + (k % 2) * plane + (k / 2) * sizes.group_channels;
    out[k] = SumOf(first, sizes.group_channels, 1);
  }
}

/// Adds up the chunks: statistics of each group of each sample, a warp for each.
template <typename Element>
__global__ void __launch_bounds__(kCombineThreads)
    FindStatistics(Sizes sizes, int batch_count, const Element* input, const Element* shift,
                   const float* scratch, double epsilon, float* mean, float* rstd) {
  const int index = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) / kWarpSize;
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  if (index >= batch_count * sizes.group_count) return;
  const int sample = index / sizes.group_count;
  const int group = index % sizes.group_count;
  const float* const sums =
      scratch + static_cast<long long>(sample) * sizes.chunk_count * sizes.group_count * 2;
  double sum = 0;
  double square = 0;
  for (int chunk = lane; chunk < sizes.chunk_count; chunk += kWarpSize) {
    const float* const values = sums + (chunk * sizes.group_count + group) * 2;
    sum += values[0];
    square += values[1];
  }
  sum = SumOfWarp(sum);
  square = SumOfWarp(square);
  if (lane != 0) return;
  const double member_count = static_cast<double>(sizes.pixel_count) * sizes.group_channels;
  const double distance = sum / member_count;
  const double variance = fmax(square / member_count - distance * distance, 0.0);
  mean[index] = static_cast<float>(PivotOf(sizes, input, shift, sample, group) + distance);
  rstd[index] = static_cast<float>(rsqrt(variance + epsilon));
}

template <typename Element, int kWidth, bool kHasSilu>
__global__ void __launch_bounds__(kMaxThreads)
    Normalise(Sizes sizes, const Element* input, const Element* shift, const Element* weight,
              const Element* bias, const float* mean, const float* rstd, Element* output) {
  const int sample = static_cast<int>(blockIdx.y);
  const int column = static_cast<int>(threadIdx.x) % sizes.pack_count;
  for (int channel = column * kWidth; channel < sizes.channel_count;
       channel += sizes.pack_count * kWidth) {
    float scale[kWidth];
    float center[kWidth];
    float base[kWidth];
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      const int group = sample * sizes.group_count + (channel + i) / sizes.group_channels;
      scale[i] = rstd[group] * ToFloat(weight[channel + i]);
      center[i] = mean[group] - ShiftOf(sizes, shift, sample, channel + i);
      base[i] = ToFloat(bias[channel + i]);
    }
    const auto load = [&](long long offset) { return LoadPack<kWidth>(input + offset); };
    ForEachPixel(sizes, channel, load, [&](long long offset, auto& pack) {
#pragma unroll
      for (int i = 0; i < kWidth; ++i) {
        float value = fmaf(ToFloat(pack.values[i]) - center[i], scale[i], base[i]);
        if (kHasSilu) value *= Sigmoid<Element>(value);
        pack.values[i] = FromFloat<Element>(value);
      }
      StorePack<kWidth>(output + offset, pack);
    });
  }
}

/// The constants of one channel in backward, and what follows from them for one element.
template <typename Element, bool kHasSilu>
struct BackwardChannel {
  float center = 0;  // Mean less shift.
  float rstd = 0;
  float weight = 0;
  float bias = 0;

  __device__ float Normalised(float input) const { return (input - center) * rstd; }
  /// The gradient of what the SiLU takes.
  __device__ float Inner(float grad_output, float normalised) const {
    if (!kHasSilu) return grad_output;
    const float value = fmaf(normalised, weight, bias);
    const float sigmoid = Sigmoid<Element>(value);
    return grad_output * sigmoid * fmaf(value, 1.0F - sigmoid, 1.0F);
  }
};

template <typename Element>
struct BackwardInputs {
  const Element* grad_output = nullptr;
  const Element* input = nullptr;
  const Element* shift = nullptr;
  const Element* weight = nullptr;
  const Element* bias = nullptr;
  const float* mean = nullptr;
  const float* rstd = nullptr;

  /// A pack of both big tensors.
  template <int kWidth>
  struct Pixel {
    Pack<Element, kWidth> grad;
    Pack<Element, kWidth> input;
  };
  template <int kWidth>
  __device__ Pixel<kWidth> Load(long long offset) const {
    return {LoadPack<kWidth>(grad_output + offset), LoadPack<kWidth>(input + offset)};
  }

  template <bool kHasSilu>
  __device__ BackwardChannel<Element, kHasSilu> At(const Sizes& sizes, int sample,
                                                   int channel) const {
    const int group = sample * sizes.group_count + channel / sizes.group_channels;
    return {mean[group] - ShiftOf(sizes, shift, sample, channel), rstd[group],
            ToFloat(weight[channel]), ToFloat(bias[channel])};
  }
};

/// scratch [batch, chunks, 3, channels]: sums of g, g * n and n, where n is the normalised value
/// and g the gradient of what the SiLU takes.
template <typename Element, int kWidth, bool kHasSilu>
__global__ void __launch_bounds__(kMaxThreads)
    SumByChannel(Sizes sizes, BackwardInputs<Element> inputs, float* scratch) {
  extern __shared__ __align__(16) float shared[];  // [3, rows, channels]
  const int sample = static_cast<int>(blockIdx.y);
  const int row = static_cast<int>(threadIdx.x) / sizes.pack_count;
  const int column = static_cast<int>(threadIdx.x) % sizes.pack_count;
  const int plane = sizes.row_count * sizes.channel_count;
  for (int channel = column * kWidth; channel < sizes.channel_count;
       channel += sizes.pack_count * kWidth) {
    BackwardChannel<Element, kHasSilu> channels[kWidth];
    float sums[kSumCount][kWidth] = {};
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      channels[i] = inputs.template At<kHasSilu>(sizes, sample, channel + i);
    }
    const auto load = [&](long long offset) { return inputs.template Load<kWidth>(offset); };
    ForEachPixel(sizes, channel, load, [&](long long /*offset*/, const auto& pixel) {
#pragma unroll
      for (int i = 0; i < kWidth; ++i) {
        const float n = channels[i].Normalised(ToFloat(pixel.input.values[i]));
        const float g = channels[i].Inner(ToFloat(pixel.grad.values[i]), n);
        sums[0][i] += g;
        sums[1][i] = fmaf(g, n, sums[1][i]);
        sums[2][i] += n;
      }
    });
#pragma unroll
    for (int k = 0; k < kSumCount; ++k) {
      StoreFloats(shared + k * plane + row * sizes.channel_count + channel, sums[k]);
    }
  }
  __syncthreads();
  float* const out = scratch + (static_cast<long long>(sample) * sizes.chunk_count + blockIdx.x) *
                                   kSumCount * sizes.channel_count;
  for (int k = static_cast<int>(threadIdx.x); k < kSumCount * sizes.channel_count;
       k += static_cast<int>(blockDim.x)) {
    const float* const first = shared + (k / sizes.channel_count) * plane + k % sizes.channel_count;
    out[k] = SumOf(first, sizes.row_count, sizes.channel_count);
  }
}

/// What the sums of all chunks give: sums [batch, 2, channels] of g and g * n, factors
/// [batch, groups, 2] for the last kernel, the gradient of the shift. A block for each group of
/// each sample, several threads for each sum.
template <typename Element>
__global__ void __launch_bounds__(kGroupThreads)
    CombineChunks(Sizes sizes, BackwardInputs<Element> inputs, const float* scratch, float* sums,
                  float* factors, Element* grad_shift) {
  extern __shared__ __align__(16) float shared[];  // [lanes, 3, channels of a group]
  __shared__ float means[2];
  const int group = static_cast<int>(blockIdx.x);
  const int sample = static_cast<int>(blockIdx.y);
  const int thread = static_cast<int>(threadIdx.x);
  const int first_channel = group * sizes.group_channels;
  const int sum_count = kSumCount * sizes.group_channels;
  const int lane_count = max(1, kGroupThreads / sum_count);
  const float* const chunks = scratch + static_cast<long long>(sample) * sizes.chunk_count *
                                            kSumCount * sizes.channel_count;
  for (int k = thread; k < lane_count * sum_count; k += kGroupThreads) {
    const int index = k % sum_count;
    const int place = index / sizes.group_channels * sizes.channel_count + first_channel +
                      index % sizes.group_channels;
    float sum = 0;
#pragma unroll kUnrolled
    for (int chunk = k / sum_count; chunk < sizes.chunk_count; chunk += lane_count) {
      sum += chunks[static_cast<long long>(chunk) * kSumCount * sizes.channel_count + place];
    }
    shared[k] = sum;
  }
  __syncthreads();
  for (int k = thread; k < sum_count; k += kGroupThreads) {
    const float sum = SumOf(shared + k, lane_count, sum_count);
    shared[k] = sum;
    const int sum_index = k / sizes.group_channels;
    if (sum_index == 2) continue;
    sums[(sample * 2 + sum_index) * sizes.channel_count + first_channel +
         k % sizes.group_channels] = sum;
  }
  __syncthreads();
  const int group_index = sample * sizes.group_count + group;
  if (thread < kWarpSize) {
    float sum_g = 0;
    float sum_g_n = 0;
    for (int c = thread; c < sizes.group_channels; c += kWarpSize) {
      const float weight = ToFloat(inputs.weight[first_channel + c]);
      sum_g = fmaf(weight, shared[c], sum_g);
      sum_g_n = fmaf(weight, shared[sizes.group_channels + c], sum_g_n);
    }
    const float member_count = static_cast<float>(sizes.pixel_count) * sizes.group_channels;
    sum_g = SumOfWarp(sum_g) / member_count;
    sum_g_n = SumOfWarp(sum_g_n) / member_count;
    if (thread == 0) {
      means[0] = sum_g;
      means[1] = sum_g_n;
      factors[group_index * 2] = sum_g;
      factors[group_index * 2 + 1] = sum_g_n;
    }
  }
  __syncthreads();
  if (grad_shift == nullptr) return;
  for (int c = thread; c < sizes.group_channels; c += kGroupThreads) {
    // The sum over the pixels of the gradient of the input, from what it is made of.
    float gradient = ToFloat(inputs.weight[first_channel + c]) * shared[c];
    gradient -= static_cast<float>(sizes.pixel_count) * means[0];
    gradient -= shared[2 * sizes.group_channels + c] * means[1];
    grad_shift[sample * sizes.channel_count + first_channel + c] =
        FromFloat<Element>(gradient * inputs.rstd[group_index]);
  }
}

/// Gradients of weight and bias: sums over the samples. The first blocks of all samples share the
/// channels.
template <typename Element>
__device__ void AddSamples(const Sizes& sizes, const float* sums, Element* grad_weight,
                           Element* grad_bias) {
  const int batch_count = static_cast<int>(gridDim.y);
  const int thread = static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x);
  for (int c = thread; c < sizes.channel_count; c += batch_count * static_cast<int>(blockDim.x)) {
    const int stride = 2 * sizes.channel_count;
    grad_bias[c] = FromFloat<Element>(SumOf(sums + c, batch_count, stride));
    grad_weight[c] = FromFloat<Element>(SumOf(sums + sizes.channel_count + c, batch_count, stride));
  }
}

template <typename Element, int kWidth, bool kHasSilu>
__global__ void __launch_bounds__(kMaxThreads)
    FindInputGradient(Sizes sizes, BackwardInputs<Element> inputs, const float* sums,
                      const float* factors, Element* grad_input, Element* grad_weight,
                      Element* grad_bias) {
  if (blockIdx.x == 0) AddSamples(sizes, sums, grad_weight, grad_bias);
  const int sample = static_cast<int>(blockIdx.y);
  const int column = static_cast<int>(threadIdx.x) % sizes.pack_count;
  for (int channel = column * kWidth; channel < sizes.channel_count;
       channel += sizes.pack_count * kWidth) {
    BackwardChannel<Element, kHasSilu> channels[kWidth];
    float mean_g[kWidth];
    float mean_g_n[kWidth];
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      channels[i] = inputs.template At<kHasSilu>(sizes, sample, channel + i);
      const int group = sample * sizes.group_count + (channel + i) / sizes.group_channels;
      mean_g[i] = factors[group * 2];
      mean_g_n[i] = factors[group * 2 + 1];
    }
    const auto load = [&](long long offset) { return inputs.template Load<kWidth>(offset); };
    ForEachPixel(sizes, channel, load, [&](long long offset, auto& pixel) {
#pragma unroll
      for (int i = 0; i < kWidth; ++i) {
        const float n = channels[i].Normalised(ToFloat(pixel.input.values[i]));
        const float g = channels[i].Inner(ToFloat(pixel.grad.values[i]), n);
        const float centered = fmaf(channels[i].weight, g, -mean_g[i]);
        pixel.grad.values[i] =
            FromFloat<Element>(channels[i].rstd * fmaf(-n, mean_g_n[i], centered));
      }
      StorePack<kWidth>(grad_input + offset, pixel.grad);
    });
  }
}

template <typename Element, int kWidth, bool kHasSilu>
cudaError_t Forward(const GroupNormShape& shape, double epsilon, const ForwardPointers& pointers,
                    cudaStream_t stream) {
  const Tiling tiling = TilingOf(shape);
  const Sizes sizes = SizesOf(shape, tiling);
  const dim3 grid(static_cast<unsigned>(tiling.chunk_count),
                  static_cast<unsigned>(shape.batch_count));
  const auto thread_count = static_cast<unsigned>(tiling.ThreadCount());
  const std::size_t sum_bytes = 2 * sizeof(float) * tiling.row_count * shape.channel_count;
  const auto* const input = static_cast<const Element*>(pointers.input);
  const auto* const shift = static_cast<const Element*>(pointers.shift);
  SumByGroup<Element, kWidth>
      <<<grid, thread_count, sum_bytes, stream>>>(sizes, input, shift, pointers.scratch);
  const int statistics_count = shape.batch_count * shape.group_count;
  const auto statistics_blocks =
      static_cast<unsigned>((statistics_count * kWarpSize + kCombineThreads - 1) / kCombineThreads);
  FindStatistics<Element><<<statistics_blocks, kCombineThreads, 0, stream>>>(
      sizes, shape.batch_count, input, shift, pointers.scratch, epsilon, pointers.mean,
      pointers.rstd);
  Normalise<Element, kWidth, kHasSilu><<<grid, thread_count, 0, stream>>>(
      sizes, input, shift, static_cast<const Element*>(pointers.weight),
      static_cast<const Element*>(pointers.bias), pointers.mean, pointers.rstd,
      static_cast<Element*>(pointers.output));
  return cudaGetLastError();
}

/// Where the parts of backward's scratch memory begin.
struct BackwardScratch {
  std::int64_t sums = 0;     // [batch, 2, channels], behind the chunks' sums.
  std::int64_t factors = 0;  // [batch, groups, 2]
  std::int64_t end = 0;
};

BackwardScratch BackwardScratchOf(const GroupNormShape& shape) {
  BackwardScratch scratch;
  const auto batch_count = static_cast<std::int64_t>(shape.batch_count);
  scratch.sums = batch_count * TilingOf(shape).chunk_count * kSumCount * shape.channel_count;
  scratch.factors = scratch.sums + batch_count * 2 * shape.channel_count;
  scratch.end = scratch.factors + batch_count * 2 * shape.group_count;
  return scratch;
}

template <typename Element, int kWidth, bool kHasSilu>
cudaError_t Backward(const GroupNormShape& shape, const BackwardPointers& pointers,
                     cudaStream_t stream) {
  const Tiling tiling = TilingOf(shape);
  const Sizes sizes = SizesOf(shape, tiling);
  const BackwardScratch scratch = BackwardScratchOf(shape);
  float* const sums = pointers.scratch + scratch.sums;
  float* const factors = pointers.scratch + scratch.factors;
  const BackwardInputs<Element> inputs = {
      .grad_output = static_cast<const Element*>(pointers.grad_output),
      .input = static_cast<const Element*>(pointers.input),
      .shift = static_cast<const Element*>(pointers.shift),
      .weight = static_cast<const Element*>(pointers.weight),
      .bias = static_cast<const Element*>(pointers.bias),
      .mean = pointers.mean,
      .rstd = pointers.rstd};
  const dim3 grid(static_cast<unsigned>(tiling.chunk_count),
                  static_cast<unsigned>(shape.batch_count));
  const dim3 group_grid(static_cast<unsigned>(shape.group_count),
                        static_cast<unsigned>(shape.batch_count));
  const auto thread_count = static_cast<unsigned>(tiling.ThreadCount());
  const std::size_t sum_bytes = kSumCount * sizeof(float) * tiling.row_count * shape.channel_count;
  SumByChannel<Element, kWidth, kHasSilu>
      <<<grid, thread_count, sum_bytes, stream>>>(sizes, inputs, pointers.scratch);
  const std::size_t group_bytes =
      sizeof(float) * std::max(kGroupThreads, kSumCount * sizes.group_channels);
  CombineChunks<Element><<<group_grid, kGroupThreads, group_bytes, stream>>>(
      sizes, inputs, pointers.scratch, sums, factors, static_cast<Element*>(pointers.grad_shift));
  FindInputGradient<Element, kWidth, kHasSilu><<<grid, thread_count, 0, stream>>>(
      sizes, inputs, sums, factors, static_cast<Element*>(pointers.grad_input),
      static_cast<Element*>(pointers.grad_weight), static_cast<Element*>(pointers.grad_bias));
  return cudaGetLastError();
}

/// Calls run.template operator()<Element, width of a pack, has SiLU>() for the shape at hand.
template <typename Run>
cudaError_t Dispatch(const GroupNormShape& shape, const Run& run) {
  const auto with_element = [&]<typename Element>() {
    const bool is_wide = PackWidth(shape) > 1;
    constexpr int kWide = kPackCount<Element>;
    if (shape.has_silu) {
      return is_wide ? run.template operator()<Element, kWide, true>()
                     : run.template operator()<Element, 1, true>();
    }
    return is_wide ? run.template operator()<Element, kWide, false>()
                   : run.template operator()<Element, 1, false>();
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

std::int64_t ForwardScratchBytes(const GroupNormShape& shape) {
  return static_cast<std::int64_t>(sizeof(float)) * 2 * shape.batch_count *
         TilingOf(shape).chunk_count * shape.group_count;
}

std::int64_t BackwardScratchBytes(const GroupNormShape& shape) {
  return static_cast<std::int64_t>(sizeof(float)) * BackwardScratchOf(shape).end;
}

cudaError_t LaunchGroupNormForward(const GroupNormShape& shape, double epsilon,
                                   const ForwardPointers& pointers, cudaStream_t stream) {
  return Dispatch(shape, [&]<typename Element, int kWidth, bool kHasSilu>() {
    return Forward<Element, kWidth, kHasSilu>(shape, epsilon, pointers, stream);
  });
}

cudaError_t LaunchGroupNormBackward(const GroupNormShape& shape, const BackwardPointers& pointers,
                                    cudaStream_t stream) {
  return Dispatch(shape, [&]<typename Element, int kWidth, bool kHasSilu>() {
    return Backward<Element, kWidth, kHasSilu>(shape, pointers, stream);
  });
}

}  // namespace stint
