// Random numbers for searches: fast, small, the same with every library.
#pragma once

#include <cstddef>
#include <cstdint>

namespace stint {

/// SplitMix64.
class SmallRandom {
 public:
  explicit SmallRandom(std::uint64_t seed) : state_(seed) {}

  /// Below `count`, which is > 0 and < 2^32.
  std::size_t Below(std::size_t count) {
    return static_cast<std::size_t>((Next() >> 32) * count >> 32);
  }

  /// In (0, 1).
  double Unit() { return (static_cast<double>(Next() >> 11) + 0.5) * 0x1p-53; }

 private:
  std::uint64_t Next() {
    state_ += 0x9e3779b97f4a7c15U;
    std::uint64_t mixed = state_;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9U;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebU;
    return mixed ^ (mixed >> 31);
  }

  std::uint64_t state_ = 0;
};

}  // namespace stint
