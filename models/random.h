// Random numbers by name: element i of the value called N under seed S is a function of (S, N, i)
// alone. So values do not depend on the order in which they are made, on the number of threads or
// on a library's version.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <string_view>

namespace stint {

/// Distinct for distinct (seed, name), for all practical purposes.
std::uint64_t RandomKey(std::uint64_t seed, std::string_view name);

/// Fills a contiguous floating CPU tensor with uniform numbers in [-bound, bound).
void FillUniform(std::uint64_t key, double bound, const torch::Tensor& value);

/// Fills a contiguous floating CPU tensor with bell-shaped numbers of mean 0: sums of four uniform
/// ones, since true normal numbers take a logarithm and a cosine, whose bits differ by library.
void FillBell(std::uint64_t key, double standard_deviation, const torch::Tensor& value);

/// Fills a contiguous int64 CPU tensor with integers in [0, end); end <= 2^31.
void FillIntegers(std::uint64_t key, std::int64_t end, const torch::Tensor& value);

}  // namespace stint
