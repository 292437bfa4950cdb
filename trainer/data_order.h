// Which picture each sample of a run is. Samples are counted through all epochs, so that a run can
// go on anywhere: nothing is remembered but how many samples are done.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace stint {

class DataOrder {
 public:
  /// `picture_count` >= 1.
  DataOrder(std::uint64_t seed, std::size_t picture_count)
      : seed_(seed), picture_count_(picture_count) {}

  /// In each epoch every picture comes once, in an order that depends on seed and epoch alone.
  /// O(1) within the epoch of the call before, else O(n log n).
  std::size_t PictureOf(std::int64_t sample);

  /// Whole epochs in the first `sample_count` samples.
  std::int64_t EpochsIn(std::int64_t sample_count) const {
    return sample_count / static_cast<std::int64_t>(picture_count_);
  }

 private:
  std::uint64_t seed_;
  std::size_t picture_count_;
  std::int64_t shuffled_epoch_ = -1;
  std::vector<std::size_t> pictures_{};  // Of that epoch.
};

}  // namespace stint
