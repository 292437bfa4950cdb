#include "planner/snapshot.h"

#include <cstddef>

#include "ir/units.h"

namespace stint {

SnapshotPlaces PlaceSnapshot(const Profile& profile) {
  std::vector<bool> is_written(profile.buffers.size());
  for (const Op& op : profile.ops) {
    for (const BufferId id : op.writes) is_written[Index(id)] = true;
  }
  SnapshotPlaces snapshot;
  for (std::size_t i = 0; i < profile.buffers.size(); ++i) {
    const Buffer& buffer = profile.buffers[i];
    if (!buffer.is_persistent || !is_written[i] || buffer.size_bytes == 0) continue;
    snapshot.places.push_back(
        {.buffer = static_cast<BufferId>(i), .offset_bytes = snapshot.size_bytes});
    snapshot.size_bytes += AlignUp(buffer.size_bytes);
  }
  return snapshot;
}

}  // namespace stint
