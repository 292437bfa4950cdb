// Which picture each sample of a run is. Samples are counted through all epochs, so that a run can
// go on anywhere: nothing is remembered but how many samples are done. No LibTorch.
//
// The samples of a step are all of one bucket. So an epoch goes bucket by bucket, and where a
// bucket's pictures do not fill its last step, its first ones of the epoch come once more:
//
//     picture     0 1 2 3 4 5 6 7
//     bucket      a a a b b b b b
//
//     an epoch    5 3 | 7 4 | 6 5 | 1 2 | 0 1    two samples in a step; buckets and pictures are
//                               ^           ^    shuffled; 5 and 1 come once more
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace stint {

class DataOrder {
 public:
  /// `picture_count` >= 1, of one bucket: whatever a step takes, samples go on through the epochs.
  DataOrder(std::uint64_t seed, std::size_t picture_count)
      : DataOrder(seed, std::vector<std::size_t>(picture_count), 1) {}

  /// `buckets` has the bucket of each picture, of which there is one at least; if all are the same,
  /// the order is that of pictures without buckets.
  DataOrder(std::uint64_t seed, std::vector<std::size_t> buckets, std::int64_t samples_per_step);

  /// In each epoch every picture comes once, and once more where it fills a step, in an order that
  /// depends on the seed, the epoch and what the constructor is given alone. O(1) within the epoch
  /// of the call before, else O(n log n).
  std::size_t PictureOf(std::int64_t sample);

  /// Of all samples of the step that this one is in.
  std::size_t BucketOf(std::int64_t sample) { return buckets_[PictureOf(sample)]; }

  /// Whole epochs in the first `sample_count` samples.
  std::int64_t EpochsIn(std::int64_t sample_count) const {
    return sample_count / samples_per_epoch_;
  }

 private:
  void Shuffle(std::int64_t epoch);

  std::uint64_t seed_;
  std::vector<std::size_t> buckets_;           // By picture.
  std::vector<std::size_t> picture_counts_{};  // By bucket.
  std::int64_t samples_per_step_;              // That a bucket's samples fill; 1: of one bucket.
  std::int64_t samples_per_epoch_ = 0;
  std::int64_t shuffled_epoch_ = -1;
  std::vector<std::size_t> pictures_{};  // By sample of that epoch.
};

}  // namespace stint
