// What copies take at least, from the times measured: what proofs may say of the link.
//
// A copy of one buffer takes what its size takes. Buffers of a shard share one copy: each takes at
// least its bytes times the least time a byte of any copy up to the largest shard. While copies go
// both ways at once, each may be slower; a proof that charges a share z of every copy to the other
// direction, too, needs times with (1 + z) * time <= time beside another copy:
//
//     to the host     |--A--|------B------|        B and C in part at once
//     to the device         |------C------|        sum of one direction + z * sum of the other
//                                                  <= how long it takes
//
// Rounded down. Refuses to know: plans, windows.
#pragma once

#include <cstdint>

#include "ir/device.h"

namespace stint {

enum class CopyWay : std::uint8_t { kToHost, kToDevice };

class CopyFloor {
 public:
  /// Keeps a reference to `device`, which has copy_times. `largest_copy_bytes`: of a shard, 0: any;
  /// `other_way_permille`: z in thousandths.
  CopyFloor(const Device& device, std::int64_t largest_copy_bytes, std::int64_t other_way_permille);

  /// Of a copy that moves one buffer.
  std::int64_t OwnNs(CopyWay way, std::int64_t size_bytes) const;
  /// Of a buffer that may be one of a shard.
  std::int64_t SharedNs(CopyWay way, std::int64_t size_bytes) const;

 private:
  /// The least time of a byte: a fraction.
  struct Slope {
    std::int64_t ns = 0;
    std::int64_t bytes = 1;
  };
  Slope LeastSlope(CopyWay way) const;

  const Device& device_;
  std::int64_t largest_copy_bytes_ = 0;
  std::int64_t other_way_permille_ = 0;
  Slope to_host_{};
  Slope to_device_{};
};

/// The z, in thousandths, that costs nothing for copies of `size_bytes` and more.
std::int64_t OtherWayPermille(const Device& device, std::int64_t size_bytes);

}  // namespace stint
