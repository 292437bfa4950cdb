// Right plans of any profile, made without planner/.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/plan.h"
#include "ir/profile.h"

namespace stint::fixtures {

/// What runs in which order, without addresses.
struct Draft {
  std::vector<BufferId> initial{};
  std::vector<BufferId> host{};
  std::vector<Shard> shards{};
  std::vector<PhasePlan> phases{};
};

/// Computes every op once in the recorded order, keeps everything and frees it after its last use.
Draft KeepAllDraft(const Profile& profile);

/// Gives every request and residence of `draft` the lowest gap, and fills the head. The result is
/// right if the draft is.
Plan Place(const Profile& profile, Draft draft);

Plan KeepAllPlan(const Profile& profile);

/// A right plan that also recomputes, offloads and fetches, keeps persistent buffers on the host
/// and, where it can, moves two of them as a shard; of odd seeds with a snapshot. The same seed
/// gives the same plan.
Plan RandomPlan(const Profile& profile, std::uint32_t seed);

}  // namespace stint::fixtures
