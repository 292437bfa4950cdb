// When the copies of a sequence are issued and how long an iteration takes: compute and two copy
// engines, just in time.
//
//     compute     |--r0--|--r1--|-----r2-----|..|--r3--|      r3 waits for its fetch
//     to host        |--offload--|                            issued after the gap's first run
//     to device          |---fetch---|---fetch---|            in the order of the runs that wait
//
// A fetch is issued before the run during which the engine would otherwise stop, if what it brings
// then fits all the way to its use; at the latest before that use. Bytes of an offload count until
// its copy is over. An iteration ends with its copies; an offload that would keep it waiting goes
// out at the start of the next one, if what it holds fits until then. Refuses to know: addresses.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "planner/joint_sequence.h"

namespace stint {

/// One evicted gap.
struct JointMove {
  std::int32_t gap = 0;   // Index into JointSequence::gaps.
  bool is_clean = false;  // The host has it: dropped, not offloaded.
  bool is_late = false;   // Wraps, and is offloaded before the first run of the next iteration.
  std::int32_t fetched_at = 0;  // The run before which its fetch is issued.
  std::int32_t gone_at = 0;     // The first run by whose begin its bytes are free, in the same
                                // iteration; run count: none.
};

/// Units for all that is resident and requested.
struct UnitLimits {
  std::int32_t all = 0;
  std::int32_t early = 0;  // At most `all`; while something that was fetched waits for its use. The
                           // rest is for the gaps between places.
};

struct JointTimes {
  std::int64_t duration_ns = 0;                                 // Of an iteration.
  std::int64_t to_device_ns = 0;                                // The engines are busy.
  std::int64_t to_host_ns = 0;                                  //
  std::vector<JointMove> moves{};                               // By the runs that wait for them.
  std::vector<std::pair<std::int64_t, std::int32_t>> stalls{};  // Of runs: how long, which.
};

/// Times `sequence`, whose runs need `units` of memory besides fetches that come early, within
/// `limits`. Gives up as soon as it takes more than `most_ns` for certain: whether it did not, and
/// `times` is complete. O(runs + moves * log runs). Deterministic.
bool TimeSequence(const PagedProgram& program, const UnitLimits& limits,
                  const JointSequence& sequence, const std::vector<std::int32_t>& units,
                  std::int64_t most_ns, JointTimes& times);

}  // namespace stint
