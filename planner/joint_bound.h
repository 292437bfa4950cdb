// What no plan with copies can beat: recomputation, offload and paging of persistent buffers
// together, over a whole step that repeats.
//
//     rung          what it sees                                   takes
//     closed form   what is fetched after one moment               one pass
//     one cut       what is kept, made again and copied there      below a second
//     windows       the same between two to a dozen cuts           seconds, with HiGHS
//
// Each ends in multipliers that ir/check_copy_certificate.h evaluates exactly: the solver's
// floating point decides how good the bound is, not whether it is true. The class says in which
// order updates run, how large shards are and how much the host holds; the link's rates are the
// profile's.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "ir/effects.h"
#include "ir/plan.h"
#include "ir/profile.h"
#include "planner/joint_guide.h"
#include "planner/joint_windows.h"

namespace stint {

struct JointBoundRequest {
  UpdateOrder updates = UpdateOrder::kAtOnce;
  std::int64_t arena_bytes = 0;         // Of all residences and requests, without overhead.
  std::int64_t host_bytes = 0;          // Of the pinned pool; 0: as much as it takes.
  std::int64_t largest_copy_bytes = 0;  // Of a shard; 0: any. Smaller ones make the bound higher.
  int forward_count = 3;                // Windows before the peak of activations, at most,
  int backward_count = 8;               // and after it. At least 1 each.
  std::int64_t small_bytes = std::int64_t{256} << 10;  // Activations below this are free.
  double time_limit_s = 15;                            // Of the solver.
  const std::atomic<bool>* stop = nullptr;             // May be null.
};

struct JointBound {
  std::int64_t duration_ns = 0;  // No plan of the certificate's class and limits is faster.
  Certificate certificate{};     // Proves just that.
  JointGuide guide{};            // Empty where no relaxation was solved.
  std::string part{};            // For Plan::solver_parts: "joint bound: windows".
  double relaxation_ns = 0;      // What the solver says the relaxation is worth; 0: not solved.
};

/// Sum of durations where that is all that can be said (a phase repeats, no copies were measured).
/// O(arguments). Deterministic.
JointBound ClosedFormJointBound(const Profile& profile, const std::vector<OpEffects>& effects,
                                const JointBoundRequest& request);

/// The best of the closed form, few windows, and more and more of them, as far as they come within
/// the time; where no state is overwritten, one or two cuts. The closed form alone
/// without HiGHS.
/// Deterministic unless the time limit or `stop` ends the solver.
JointBound ProveJointBound(const Profile& profile, const std::vector<OpEffects>& effects,
                           const JointBoundRequest& request);

/// The same for cuts at these places in the order of first runs (JointOrder); the first is 0, none
/// is an update.
JointBound ProveJointBoundAt(const Profile& profile, const std::vector<OpEffects>& effects,
                             const JointBoundRequest& request,
                             const std::vector<std::int32_t>& cuts);

}  // namespace stint
