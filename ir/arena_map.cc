#include "ir/arena_map.h"

#include <algorithm>
#include <iterator>

#include "ir/errors.h"

namespace stint {

std::optional<Occupant> ArenaMap::Occupy(std::int64_t offset_bytes, std::int64_t size_bytes,
                                         Occupant occupant) {
  if (size_bytes == 0) return std::nullopt;
  const std::int64_t end_bytes = offset_bytes + size_bytes;
  const auto next = ranges_.lower_bound(offset_bytes);
  if (next != ranges_.end() && next->first < end_bytes) return next->second.occupant;
  if (next != ranges_.begin() && std::prev(next)->second.end_bytes > offset_bytes) {
    return std::prev(next)->second.occupant;
  }
  ranges_.emplace_hint(next, offset_bytes, Range{.end_bytes = end_bytes, .occupant = occupant});
  live_bytes_ += size_bytes;
  peak_bytes_ = std::max(peak_bytes_, live_bytes_);
  height_bytes_ = std::max(height_bytes_, end_bytes);
  return std::nullopt;
}

void ArenaMap::Release(std::int64_t offset_bytes) {
  const auto range = ranges_.find(offset_bytes);
  Check(range != ranges_.end(), "a range begins where one is given back");
  live_bytes_ -= range->second.end_bytes - offset_bytes;
  ranges_.erase(range);
}

void ArenaMap::Rename(std::int64_t offset_bytes, Occupant occupant) {
  const auto range = ranges_.find(offset_bytes);
  Check(range != ranges_.end(), "a range begins where one changes hands");
  range->second.occupant = occupant;
}

}  // namespace stint
