// What the relaxation of a joint bound (planner/joint_bound.h) would do, for searches to begin
// with: which buffers leave between two of their uses, and which ops run again. Shares between 0
// and 1: the relaxation may keep half of a buffer.
//
//     buffer   use --------- gap --------- use              evicted 0.7: absent by that much
//              op `after`                  op `before`      somewhere in between
//     weight   ... use at op 90 | end, start | use at op 3  a gap that wraps: before < after
#pragma once

#include <cstdint>
#include <vector>

#include "ir/ids.h"

namespace stint {

/// A stretch between two neighbouring uses of a buffer, in which it may leave.
struct JointGap {
  BufferId buffer{};
  OpId after{};        // The op that makes, reads or writes it before the gap.
  OpId before{};       // The one that needs it next; if not later in the order, then in the next
                       // iteration.
  double evicted = 0;  // The largest share of it that is not resident at a cut in the gap.
  double fetched = 0;  // The share of it that comes back from the host, not by running its creator.
};

/// An op that runs again, summed over all windows.
struct JointRecompute {
  OpId op{};
  double share = 0;  // May be above 1: several times.
};

struct JointGuide {
  std::vector<OpId> order{};                // The order of first runs that it is about.
  std::vector<OpId> cuts{};                 // By place in that order.
  std::vector<double> window_ns{};          // By cut: how long what follows it takes.
  std::vector<JointGap> gaps{};             // Those evicted by more than a hundredth, by buffer,
                                            // then by `after` in the order.
  std::vector<JointRecompute> recompute{};  // Those above a hundredth, by ascending op.
};

}  // namespace stint
