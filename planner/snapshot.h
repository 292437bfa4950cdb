// Where a save puts the state of a training run: the pinned snapshot of a plan.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/plan.h"
#include "ir/profile.h"

namespace stint {

struct SnapshotPlaces {
  std::vector<Placement> places{};  // As Plan::snapshot.
  std::int64_t size_bytes = 0;
};

/// Every persistent buffer that the program writes, one after the other in the order of the
/// profile. O(ops + buffers).
SnapshotPlaces PlaceSnapshot(const Profile& profile);

}  // namespace stint
