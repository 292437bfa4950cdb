// Plans for tests, built instruction by instruction: each request at the lowest place that is free
// at that moment. Shares no code with planner/.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "ir/plan.h"
#include "ir/profile.h"

namespace stint {

class PlanBuilder {
 public:
  /// All persistent buffers of the device are resident from the start, but those in `on_host`.
  /// What an offload reads is left alone for `reuse_delay` computes. The profile must outlive the
  /// builder.
  explicit PlanBuilder(const Profile& profile, const std::vector<BufferId>& on_host = {},
                       int reuse_delay = 0);

  /// Instructions go to the body of `phase` from now on.
  void BeginPhase(PhaseId phase);
  void Compute(OpId op, const std::vector<BufferId>& discards = {});
  void Free(BufferId buffer);
  void Fetch(BufferId buffer);
  void Offload(BufferId buffer);
  void Drop(BufferId buffer);

  /// Persistent buffers among `on_host` that move together from now on.
  ShardId AddShard(const std::string& name, const std::vector<BufferId>& members);
  void Fetch(ShardId shard);
  void Offload(ShardId shard);
  void Drop(ShardId shard);

  /// The plan, its head filled in.
  Plan Finish();

 private:
  std::int64_t Place(std::int64_t size_bytes);
  void Remove(std::int64_t offset_bytes);
  void RemoveAfterCopy(std::int64_t offset_bytes);
  void ReuseWhatIsDue();
  void End(BufferId buffer, InstructionKind kind);
  void End(ShardId shard, InstructionKind kind);
  void PlaceOnHost(BufferId buffer);
  void CompactHost();
  std::vector<Instruction>& body() { return plan_.phases[phase_].body; }

  const Profile& profile_;
  Plan plan_{};
  std::size_t phase_ = 0;
  std::map<std::int64_t, std::int64_t> live_{};  // Offset to end.
  std::map<BufferId, std::int64_t> resident_{};  // Offset.
  std::map<ShardId, std::int64_t> resident_shards_{};
  std::int64_t live_bytes_ = 0;
  int reuse_delay_;
  int compute_count_ = 0;
  std::deque<std::pair<int, std::int64_t>> left_alone_{};  // Until which compute, offset.
};

/// Every op once, in order; each buffer freed after its last use.
Plan KeepAllPlan(const Profile& profile);

}  // namespace stint
