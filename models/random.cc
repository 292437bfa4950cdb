#include "models/random.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cmath>

#include "ir/errors.h"

namespace stint {
namespace {

constexpr double kUnit = 1.0 / 2147483648.0;  // 2^-31: from int32 to [-1, 1).

/// Finalizer of splitmix64: a bijection in which every input bit moves every output bit.
constexpr std::uint64_t Mix64(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}

/// The same for 32 bits, which compilers turn into vector code; constants found by search
/// (github.com/skeeto/hash-prospector).
constexpr std::uint32_t Mix32(std::uint32_t x) {
  x = (x ^ (x >> 16)) * 0x21f0aaadU;
  x = (x ^ (x >> 15)) * 0x735a2d97U;
  return x ^ (x >> 15);
}

/// 32 random bits for each index below 2^32 of one key.
struct Stream {
  std::uint32_t first{};
  std::uint32_t second{};

  explicit Stream(std::uint64_t key)
      : first(static_cast<std::uint32_t>(key)), second(static_cast<std::uint32_t>(key >> 32)) {}

  std::uint32_t Bits(std::int64_t index) const {
    return Mix32(Mix32(static_cast<std::uint32_t>(index) ^ first) + second);
  }
  /// In [-1, 1).
  float Uniform(std::int64_t index) const {
    return static_cast<float>(static_cast<std::int32_t>(Bits(index))) * static_cast<float>(kUnit);
  }
};

/// Fills `value` with number_at(index), in parallel; every element by itself.
template <typename NumberAt>
void FillFloats(const at::Tensor& value, const NumberAt& number_at) {
  Check(value.device().is_cpu() && value.is_contiguous(), "values are contiguous CPU tensors");
  Check(value.numel() < (std::int64_t{1} << 32), "a stream has 2^32 numbers");
  const auto fill = [&]<typename Element>(Element* data) {
    constexpr std::int64_t kGrain = 1 << 16;
    at::parallel_for(0, value.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) data[i] = static_cast<Element>(number_at(i));
    });
  };
  switch (value.scalar_type()) {
    case at::kFloat:
      return fill(value.data_ptr<float>());
    case at::kBFloat16:
      return fill(value.data_ptr<at::BFloat16>());
    case at::kHalf:
      return fill(value.data_ptr<at::Half>());
    default:
      Check(false, "random numbers are float32, bfloat16 or float16");
  }
}

}  // namespace

std::uint64_t RandomKey(std::uint64_t seed, std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325U;  // FNV-1a.
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return Mix64(hash + Mix64(seed + 0x9e3779b97f4a7c15U));
}

void FillUniform(std::uint64_t key, double bound, const torch::Tensor& value) {
  const Stream stream(key);
  const auto scale = static_cast<float>(bound);
  FillFloats(value, [&](std::int64_t i) { return stream.Uniform(i) * scale; });
}

void FillBell(std::uint64_t key, double standard_deviation, const torch::Tensor& value) {
  // A uniform number in [-1, 1) has variance 1/3, the sum of four 4/3.
  const auto scale = static_cast<float>(standard_deviation * std::sqrt(0.75));
  const Stream a(Mix64(key + 1)), b(Mix64(key + 2)), c(Mix64(key + 3)), d(Mix64(key + 4));
  FillFloats(value, [&](std::int64_t i) {
    return ((a.Uniform(i) + b.Uniform(i)) + (c.Uniform(i) + d.Uniform(i))) * scale;
  });
}

void FillIntegers(std::uint64_t key, std::int64_t end, const torch::Tensor& value) {
  Check(value.is_contiguous() && value.scalar_type() == at::kLong, "integers are int64");
  const Stream stream(key);
  auto* const data = value.data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < value.numel(); ++i) {
    const std::uint64_t bits = stream.Bits(i);
    data[i] = static_cast<std::int64_t>((bits * static_cast<std::uint64_t>(end)) >> 32);
  }
}

}  // namespace stint
