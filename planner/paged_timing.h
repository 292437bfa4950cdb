// How long instructions with addresses take: one compute stream, two copy streams, and the waits
// that follow from values and places.
//
//     compute waits for    fetches of what it reads, copies that still use its places
//     offload waits for    the compute before it, the fetch of what it takes
//     fetch waits for      the compute before it, the offload of the same value, copies that still
//                          use its place
//
// Copies of one direction follow each other; two of different directions slow each other down, and
// copies the compute; each wait of compute, and each op that copies wait for, costs a little. All
// that was issued is over at the end of a part. Shares no arithmetic with the simulator.
#pragma once

#include <cstdint>

#include "ir/profile.h"
#include "planner/joint_emit.h"

namespace stint {

/// Of a schedule with offsets, repetitions counted. O(instructions + requests * copies under way).
std::int64_t DurationOf(const Profile& profile, const PagedSchedule& schedule,
                        const std::vector<Placement>& initial);

}  // namespace stint
