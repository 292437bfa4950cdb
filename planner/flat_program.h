// A program as the search reads it: arrays of integers, sizes in units of 512 bytes, one virtual op
// at the end that reads what must be left.
//
//     step   0   1   ...   op_count - 1   op_count
//     op     the program's, as they first run    the end: reads the outputs that stay
//
// Values are the movable buffers that an op creates; their ids are not the profile's buffer ids.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "planner/program.h"

namespace stint {

struct FlatOp {
  std::int64_t duration_ns = 0;   //
  std::int32_t script_units = 0;  // Peak of its requests, outputs included.
  std::int32_t again_until = -1;  // The last stage in which it may run again; -1: never.
};

struct FlatValue {
  BufferId buffer{};
  std::int32_t creator = 0;     // Step.
  std::int32_t units = 0;       //
  std::int32_t made_until = 0;  // The last stage in which its creator makes it again: later, the
                                // buffer has been written in place.
};

struct FlatProgram {
  std::int32_t op_count = 0;              // Without the virtual one.
  std::vector<FlatOp> ops{};              // op_count + 1.
  std::vector<FlatValue> values{};        // By ascending buffer.
  std::vector<std::int32_t> read_ends{};  // By op: where its part of `reads` ends.
  std::vector<std::int32_t> reads{};      // Values, by reader.
  std::vector<std::int32_t> make_ends{};  // By op: where its part of `makes` ends.
  std::vector<std::int32_t> makes{};      // Values, by creator.

  std::span<const std::int32_t> ReadsOf(std::int32_t op) const {
    return PartOf(reads, read_ends, op);
  }
  std::span<const std::int32_t> MadeBy(std::int32_t op) const {
    return PartOf(makes, make_ends, op);
  }

 private:
  static std::span<const std::int32_t> PartOf(const std::vector<std::int32_t>& all,
                                              const std::vector<std::int32_t>& ends,
                                              std::int32_t op) {
    const auto index = static_cast<std::size_t>(op);
    const std::int32_t begin = op == 0 ? 0 : ends[index - 1];
    return {all.data() + begin, static_cast<std::size_t>(ends[index] - begin)};
  }
};

/// Empty if a phase of `profile` repeats, or if its buffers together pass half a tebibyte, which
/// 32-bit units could not add up. O(arguments).
std::optional<FlatProgram> Flatten(const Profile& profile, const Program& program);

}  // namespace stint
