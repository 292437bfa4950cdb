// Which ranges of the arena are taken at one moment of a plan, by whom, and how high and how full
// it ever was.
//
//     offset  0        512       1024                2048
//             +---------+---------+-------------------+----
//             | buffer 3|  free   | request 0         | free
//             +---------+---------+-------------------+----
#pragma once

#include <cstdint>
#include <map>
#include <optional>

namespace stint {

enum class OccupantKind : std::uint8_t { kBuffer, kShard, kRequest };

struct Occupant {
  OccupantKind kind{};
  std::int64_t index = 0;  // Of the buffer, of the shard, or in the script of the op that runs.
};

class ArenaMap {
 public:
  /// Takes [offset_bytes, offset_bytes + size_bytes) and returns nothing, or returns who holds a
  /// part of it. An empty range is never taken. O(log n).
  std::optional<Occupant> Occupy(std::int64_t offset_bytes, std::int64_t size_bytes,
                                 Occupant occupant);

  /// Gives back the range that begins at `offset_bytes`. O(log n).
  void Release(std::int64_t offset_bytes);

  /// Hands the range that begins at `offset_bytes` to another occupant. O(log n).
  void Rename(std::int64_t offset_bytes, Occupant occupant);

  std::int64_t peak_bytes() const { return peak_bytes_; }      // Most bytes taken at once.
  std::int64_t height_bytes() const { return height_bytes_; }  // Highest end of any range.

 private:
  struct Range {
    std::int64_t end_bytes = 0;
    Occupant occupant{};
  };

  std::map<std::int64_t, Range> ranges_{};  // By begin; disjoint.
  std::int64_t live_bytes_ = 0;
  std::int64_t peak_bytes_ = 0;
  std::int64_t height_bytes_ = 0;
};

}  // namespace stint
