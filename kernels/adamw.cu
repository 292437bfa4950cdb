#include "kernels/adamw_kernels.h"
#include "kernels/device_numbers.cuh"
#include "kernels/stochastic_rounding.h"

namespace stint {
namespace {

constexpr int kThreads = 256;

/// The numbers of one step, the same for all elements.
struct Step {
  float grad_factor = 0;
  float decay = 0;      // What a weight is multiplied by.
  float step_size = 0;  // Learning rate over the first bias correction.
  float root = 0;       // Of the second bias correction.
};

__device__ Step MakeStep(const AdamWArguments& arguments) {
  const float step = *arguments.step;
  const float learning_rate = *arguments.learning_rate;
  // 1 - beta^step, without losing digits where beta is near 1.
  const float correction1 = -expm1f(step * arguments.log_beta1);
  const float correction2 = -expm1f(step * arguments.log_beta2);
  return {arguments.grad_scale == nullptr ? 1.0F : 1.0F / *arguments.grad_scale,
          1.0F - learning_rate * arguments.weight_decay, learning_rate / correction1,
          sqrtf(correction2)};
}

/// The bfloat16 above or below `value`.
__device__ __nv_bfloat16 RoundAtRandom(float value, unsigned random_bits) {
  return __ushort_as_bfloat16(RoundToBfloat16(__float_as_uint(value), random_bits));
}

/// Updates kWidth elements from `offset` on.
template <typename Element, int kWidth, bool kIsRoundedAtRandom>
__device__ void Update(const AdamWArguments& arguments, const Step& step, int tensor,
                       long long offset) {
  auto* const weight = static_cast<Element*>(arguments.weights[tensor]) + offset;
  auto* const gradient = static_cast<Element*>(arguments.gradients[tensor]) + offset;
  auto* const exp_avg = static_cast<Element*>(arguments.exp_avgs[tensor]) + offset;
  auto* const exp_avg_sq = static_cast<Element*>(arguments.exp_avg_sqs[tensor]) + offset;
  const unsigned key = kIsRoundedAtRandom ? RoundingKey(arguments.rounding_keys[tensor],
                                                        __float_as_uint(*arguments.step))
                                          : 0;
  using Packed = Pack<Element, kWidth>;
  // Plain loads: all of this but the gradient is written below.
  Packed weights = *reinterpret_cast<const Packed*>(weight);
  Packed gradients = *reinterpret_cast<const Packed*>(gradient);
  Packed exp_avgs = *reinterpret_cast<const Packed*>(exp_avg);
  Packed exp_avg_sqs = *reinterpret_cast<const Packed*>(exp_avg_sq);
#pragma unroll
  for (int i = 0; i < kWidth; ++i) {
    const float g = ToFloat(gradients.values[i]) * step.grad_factor;
    const float m = fmaf(arguments.beta1, ToFloat(exp_avgs.values[i]), arguments.new_share1 * g);
    const float v =
        fmaf(arguments.beta2, ToFloat(exp_avg_sqs.values[i]), arguments.new_share2 * g * g);
    const float deviation = sqrtf(v) / step.root + arguments.epsilon;
    const float w = ToFloat(weights.values[i]) * step.decay - step.step_size * m / deviation;
    gradients.values[i] = FromFloat<Element>(g);
    if constexpr (kIsRoundedAtRandom) {
      const unsigned bits = RoundingBits(key, offset + i);
      weights.values[i] = RoundAtRandom(w, bits);
      exp_avgs.values[i] = RoundAtRandom(m, bits >> 16);
      exp_avg_sqs.values[i] = RoundAtRandom(v, RoundingBits(MixBits(key), offset + i));
    } else {
      weights.values[i] = FromFloat<Element>(w);
      exp_avgs.values[i] = FromFloat<Element>(m);
      exp_avg_sqs.values[i] = FromFloat<Element>(v);
    }
  }
  StorePack<kWidth>(weight, weights);
  StorePack<kWidth>(exp_avg, exp_avgs);
  StorePack<kWidth>(exp_avg_sq, exp_avg_sqs);
  if (arguments.grad_scale != nullptr) StorePack<kWidth>(gradient, gradients);
}

template <typename Element, bool kIsRoundedAtRandom>
__global__ void __launch_bounds__(kThreads)
    UpdateGroup(const __grid_constant__ AdamWArguments arguments) {
  const int block = static_cast<int>(blockIdx.x);
  int tensor = 0;
  while (arguments.first_blocks[tensor + 1] <= block) ++tensor;
  const Step step = MakeStep(arguments);
  const long long begin = (block - arguments.first_blocks[tensor]) * kAdamWChunk;
  const long long count = arguments.element_counts[tensor];
  constexpr int kWidth = kPackCount<Element>;
#pragma unroll
  for (int turn = 0; turn < static_cast<int>(kAdamWChunk) / (kThreads * kWidth); ++turn) {
    const long long offset =
        begin + (static_cast<long long>(turn) * kThreads + threadIdx.x) * kWidth;
    if (offset + kWidth <= count) {
      Update<Element, kWidth, kIsRoundedAtRandom>(arguments, step, tensor, offset);
    } else {
      for (long long i = offset; i < count; ++i) {
        Update<Element, 1, kIsRoundedAtRandom>(arguments, step, tensor, i);
      }
    }
  }
}

template <typename Element, bool kIsRoundedAtRandom = false>
cudaError_t Launch(const AdamWArguments& arguments, cudaStream_t stream) {
  const auto block_count = static_cast<unsigned>(arguments.first_blocks[arguments.tensor_count]);
  UpdateGroup<Element, kIsRoundedAtRandom><<<block_count, kThreads, 0, stream>>>(arguments);
  return cudaGetLastError();
}

}  // namespace

cudaError_t LaunchAdamW(ElementKind kind, const AdamWArguments& arguments, cudaStream_t stream) {
  switch (kind) {
    case ElementKind::kFloat32:
      return Launch<float>(arguments, stream);
    case ElementKind::kFloat16:
      return Launch<__half>(arguments, stream);
    case ElementKind::kBfloat16:
      return arguments.is_rounded_at_random ? Launch<__nv_bfloat16, true>(arguments, stream)
                                            : Launch<__nv_bfloat16>(arguments, stream);
  }
  return cudaErrorInvalidValue;
}

}  // namespace stint
