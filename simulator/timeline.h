// When each piece of work begins and ends on three streams: compute, copies to the host, copies to
// the device. Work of one stream follows its order; work waits for named work of other streams; two
// copies at once slow each other down, and copies the compute. Refuses to know: plans, memory.
//
//     compute    |--A--|------B------|....|-C-|
//     to host          |---offload---|
//     to device        |------fetch-------|          (fetch slower while both copy, C waits)
#pragma once

#include <cstdint>
#include <vector>

#include "ir/device.h"
#include "ir/stream.h"

namespace stint {

/// One piece of work on one stream.
struct Task {
  Stream stream{};
  std::int64_t alone_ns = 0;      // Takes this long while no other copy runs.
  std::int64_t contended_ns = 0;  // Would take this long, a copy beside one the other way, a
                                  // compute beside both; beside one it takes half of the
                                  // difference longer. >= alone_ns.
  std::vector<std::int32_t> waits_for{};  // Indices of earlier tasks.
};

struct TaskTimes {
  std::int64_t begin_ns = 0;
  std::int64_t end_ns = 0;
};

/// Runs `tasks`, all known from time 0. O(tasks + waits); deterministic.
std::vector<TaskTimes> RunTasks(const std::vector<Task>& tasks);

/// A compute that takes `duration_ns` alone, on `device`.
Task MakeCompute(const Device& device, std::int64_t duration_ns);

/// A copy of `size_bytes` by what `device` says of copies: linear between measured sizes, the
/// smallest one's time below them, the largest one's rate above. Takes no time if nothing was
/// measured (the CPU copies inside RAM). `stream` is one of the two copy streams.
Task MakeCopy(const Device& device, Stream stream, std::int64_t size_bytes);

}  // namespace stint
