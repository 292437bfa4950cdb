#include "trainer/data_order.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "ir/errors.h"
#include "models/random.h"

namespace stint {
namespace {

/// The numbers below `count`, in an order that seed, epoch and word decide.
std::vector<std::size_t> Shuffled(std::uint64_t seed, std::string_view what, std::size_t count,
                                  std::int64_t epoch) {
  std::vector<std::pair<std::uint64_t, std::size_t>> keyed(count);
  for (std::size_t i = 0; i < count; ++i) {
    keyed[i] = {RandomKey(seed, fmt::format("place of {} {} in epoch {}", what, i, epoch)), i};
  }
  std::ranges::sort(keyed);
  std::vector<std::size_t> numbers;
  numbers.reserve(count);
  for (const auto& [key, number] : keyed) numbers.push_back(number);
  return numbers;
}

}  // namespace

DataOrder::DataOrder(std::uint64_t seed, std::vector<std::size_t> buckets,
                     std::int64_t samples_per_step)
    : seed_(seed), buckets_(std::move(buckets)), samples_per_step_(samples_per_step) {
  Check(!buckets_.empty() && samples_per_step > 0, "there are pictures, and steps take some");
  picture_counts_.resize(std::ranges::max(buckets_) + 1);
  for (const std::size_t bucket : buckets_) ++picture_counts_[bucket];
  if (std::ranges::count(picture_counts_, 0U) + 1 == std::ssize(picture_counts_)) {
    samples_per_step_ = 1;
  }
  for (const std::size_t count : picture_counts_) {
    const std::int64_t picture_count = static_cast<std::int64_t>(count);
    const std::int64_t step_count = (picture_count + samples_per_step_ - 1) / samples_per_step_;
    samples_per_epoch_ += step_count * samples_per_step_;
  }
}

void DataOrder::Shuffle(std::int64_t epoch) {
  std::vector<std::vector<std::size_t>> by_bucket(picture_counts_.size());
  for (const std::size_t picture : Shuffled(seed_, "picture", buckets_.size(), epoch)) {
    by_bucket[buckets_[picture]].push_back(picture);
  }
  pictures_.clear();
  for (const std::size_t bucket : Shuffled(seed_, "bucket", by_bucket.size(), epoch)) {
    const std::vector<std::size_t>& own = by_bucket[bucket];
    for (std::size_t i = 0; i < own.size() || std::ssize(pictures_) % samples_per_step_ != 0; ++i) {
      pictures_.push_back(own[i % own.size()]);
    }
  }
  shuffled_epoch_ = epoch;
}

std::size_t DataOrder::PictureOf(std::int64_t sample) {
  const std::int64_t epoch = EpochsIn(sample);
  if (epoch != shuffled_epoch_) Shuffle(epoch);
  return pictures_[static_cast<std::size_t>(sample % samples_per_epoch_)];
}

}  // namespace stint
