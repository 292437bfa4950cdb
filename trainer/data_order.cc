#include "trainer/data_order.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "models/random.h"

namespace stint {

std::size_t DataOrder::PictureOf(std::int64_t sample) {
  const std::int64_t epoch = EpochsIn(sample);
  if (epoch != shuffled_epoch_) {
    std::vector<std::pair<std::uint64_t, std::size_t>> keyed(picture_count_);
    for (std::size_t i = 0; i < picture_count_; ++i) {
      keyed[i] = {RandomKey(seed_, fmt::format("place of picture {} in epoch {}", i, epoch)), i};
    }
    std::ranges::sort(keyed);
    pictures_.clear();
    for (const auto& [key, picture] : keyed) pictures_.push_back(picture);
    shuffled_epoch_ = epoch;
  }
  return pictures_[static_cast<std::size_t>(sample) % picture_count_];
}

}  // namespace stint
