// Rounding of float32 to bfloat16 up or down at random, so that what is rounded away is right on
// average: an update much smaller than a weight's last bit moves it in so many of many steps. The
// bits come from a hash of where and when, not from a generator's state: they are the same on every
// device, in every order, and when an op runs again.
#pragma once

#include <cstdint>

#ifdef __CUDACC__
#define STINT_HOST_DEVICE __host__ __device__
#else
#define STINT_HOST_DEVICE
#endif

namespace stint {

/// Mixes all bits into all bits, one to one (the multipliers are those of C. Wellons' lowbias32).
STINT_HOST_DEVICE inline std::uint32_t MixBits(std::uint32_t bits) {
  bits ^= bits >> 16;
  bits *= 0x7feb352dU;
  bits ^= bits >> 15;
  bits *= 0x846ca68bU;
  bits ^= bits >> 16;
  return bits;
}

/// What differs between tensors and between steps. `step_bits`: of the step as a float32.
STINT_HOST_DEVICE inline std::uint32_t RoundingKey(std::uint32_t tensor, std::uint32_t step_bits) {
  return MixBits(MixBits(tensor + 0x9e3779b9U) ^ step_bits);
}

/// 32 random bits for an element.
STINT_HOST_DEVICE inline std::uint32_t RoundingBits(std::uint32_t key, std::int64_t element) {
  const auto place = static_cast<std::uint64_t>(element);
  return MixBits(MixBits(static_cast<std::uint32_t>(place) ^ key) +
                 static_cast<std::uint32_t>(place >> 32));
}

/// The bits of a bfloat16 from those of a float32 and at least 16 random ones. Infinities and NaN
/// stay what they are.
STINT_HOST_DEVICE inline std::uint16_t RoundToBfloat16(std::uint32_t float_bits,
                                                       std::uint32_t random_bits) {
  constexpr std::uint32_t kExponent = 0x7f800000U;
  constexpr std::uint32_t kMantissa = 0x007fffffU;
  constexpr std::uint32_t kQuiet = 0x00400000U;  // Keeps a NaN one, whatever bits are cut off.
  if ((float_bits & kExponent) != kExponent) {
    float_bits += random_bits & 0xffffU;
  } else if ((float_bits & kMantissa) != 0) {
    float_bits |= kQuiet;
  }
  return static_cast<std::uint16_t>(float_bits >> 16);
}

}  // namespace stint
