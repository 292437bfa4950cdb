// Turns a plan without copies into one whose optimizer states live on the host, and whose largest
// activations wait there until backward needs them: something to run before, and beside, the plans
// of solvers. Shares no code with planner/.
#pragma once

#include <cstdint>

#include "ir/plan.h"
#include "ir/profile.h"

namespace stint {

struct PagingOptions {
  std::int64_t state_bytes = 0;       // Optimizer states to page, at most; from all over the step.
  std::int64_t activation_bytes = 0;  // Activations to offload, at most; the longest gaps first.
  std::int64_t shard_bytes = std::int64_t{16} << 20;  // States move in shards of about this size.
  bool is_hidden = false;  // Fetch as late as the link allows and leave what an offload reads alone
                           // for a while; else fetch and reuse at once, which makes all wait.
};

/// `base` recomputes as it likes but moves nothing; order and recomputation stay, addresses do not.
Plan PagedPlan(const Profile& profile, const Plan& base, const PagingOptions& options);

}  // namespace stint
