#include "tests/support/plan_builder.h"

#include <algorithm>
#include <utility>

#include "ir/effects.h"
#include "ir/units.h"

namespace stint {

PlanBuilder::PlanBuilder(const Profile& profile, const std::vector<BufferId>& on_host,
                         int reuse_delay)
    : profile_(profile), reuse_delay_(reuse_delay) {
  plan_.profile_sha256 = ProfileSha256(profile);
  plan_.solver = "by-hand";
  plan_.certificate = {.plan_class = "recorded-order", .method = "none"};
  plan_.overhead_bytes = profile.device.overhead_bytes;
  plan_.phases.resize(profile.phases.size());
  for (std::size_t i = 0; i < profile.buffers.size(); ++i) {
    const Buffer& buffer = profile.buffers[i];
    if (!buffer.is_persistent || buffer.is_host) continue;
    const auto id = BufferId(i);
    if (std::find(on_host.begin(), on_host.end(), id) != on_host.end()) {
      PlaceOnHost(id);
    } else {
      resident_[id] = Place(buffer.size_bytes);
      plan_.initial.push_back({.buffer = id, .offset_bytes = resident_[id]});
    }
  }
}

void PlanBuilder::BeginPhase(PhaseId phase) { phase_ = Index(phase); }

std::int64_t PlanBuilder::Place(std::int64_t size_bytes) {
  if (size_bytes == 0) return 0;
  ReuseWhatIsDue();
  std::int64_t offset_bytes = 0;
  for (const auto& [begin, end] : live_) {
    if (begin - offset_bytes >= AlignUp(size_bytes)) break;
    offset_bytes = end;
  }
  live_[offset_bytes] = offset_bytes + AlignUp(size_bytes);
  live_bytes_ += AlignUp(size_bytes);
  plan_.peak_bytes = std::max(plan_.peak_bytes, live_bytes_);
  plan_.arena_bytes = std::max(plan_.arena_bytes, offset_bytes + AlignUp(size_bytes));
  return offset_bytes;
}

void PlanBuilder::Remove(std::int64_t offset_bytes) {
  const auto range = live_.find(offset_bytes);
  live_bytes_ -= range->second - range->first;
  live_.erase(range);
}

/// The plan counts bytes up to the offload itself.
void PlanBuilder::RemoveAfterCopy(std::int64_t offset_bytes) {
  const auto range = live_.find(offset_bytes);
  live_bytes_ -= range->second - range->first;
  left_alone_.emplace_back(compute_count_ + reuse_delay_, offset_bytes);
}

void PlanBuilder::ReuseWhatIsDue() {
  while (!left_alone_.empty() && left_alone_.front().first <= compute_count_) {
    live_.erase(left_alone_.front().second);
    left_alone_.pop_front();
  }
}

void PlanBuilder::PlaceOnHost(BufferId buffer) {
  plan_.host.push_back({.buffer = buffer});  // Finish says where.
}

void PlanBuilder::Compute(OpId op, const std::vector<BufferId>& discards) {
  ++compute_count_;
  const std::vector<Request>& requests = profile_.ops[Index(op)].requests;
  Instruction compute{.kind = InstructionKind::kCompute, .op = op};
  for (std::size_t i = 0; i < requests.size(); ++i) {
    compute.request_offsets.push_back(Place(requests[i].size_bytes));
    for (std::size_t k = 0; k <= i; ++k) {
      if (!requests[k].buffer && requests[k].freed_after_request == static_cast<int>(i)) {
        Remove(compute.request_offsets[k]);
      }
    }
  }
  for (std::size_t i = 0; i < requests.size(); ++i) {
    if (!requests[i].buffer) continue;
    const BufferId buffer = *requests[i].buffer;
    const bool is_discarded = std::ranges::find(discards, buffer) != discards.end();
    if (is_discarded || resident_.contains(buffer)) {
      compute.discards.push_back(buffer);
      Remove(compute.request_offsets[i]);
    } else {
      resident_[buffer] = compute.request_offsets[i];
    }
  }
  std::sort(compute.discards.begin(), compute.discards.end());
  plan_.duration_ns += profile_.ops[Index(op)].duration_ns * profile_.phases[phase_].repeat_count;
  body().push_back(std::move(compute));
}

void PlanBuilder::End(BufferId buffer, InstructionKind kind) {
  body().push_back({.kind = kind, .buffer = buffer});
  if (profile_.buffers[Index(buffer)].size_bytes > 0) {
    const bool is_copied = kind == InstructionKind::kOffload;
    is_copied ? RemoveAfterCopy(resident_.at(buffer)) : Remove(resident_.at(buffer));
  }
  resident_.erase(buffer);
}

void PlanBuilder::Free(BufferId buffer) { End(buffer, InstructionKind::kFree); }

void PlanBuilder::Drop(BufferId buffer) { End(buffer, InstructionKind::kDrop); }

void PlanBuilder::Offload(BufferId buffer) {
  const bool has_place = std::ranges::any_of(
      plan_.host, [&](const Placement& placement) { return placement.buffer == buffer; });
  if (!has_place) PlaceOnHost(buffer);
  End(buffer, InstructionKind::kOffload);
}

ShardId PlanBuilder::AddShard(const std::string& name, const std::vector<BufferId>& members) {
  Shard shard{.name = name};
  std::vector<BufferId> sorted = members;
  std::ranges::sort(sorted);
  for (const BufferId member : sorted) {
    std::erase_if(plan_.host, [&](const Placement& place) { return place.buffer == member; });
    shard.members.push_back({.buffer = member, .offset_bytes = shard.size_bytes});
    shard.size_bytes += AlignUp(profile_.buffers[Index(member)].size_bytes);
  }
  plan_.shards.push_back(std::move(shard));
  return static_cast<ShardId>(plan_.shards.size() - 1);
}

void PlanBuilder::End(ShardId shard, InstructionKind kind) {
  body().push_back({.kind = kind, .shard = shard});
  for (const Placement& member : plan_.shards[Index(shard)].members) resident_.erase(member.buffer);
  const bool is_copied = kind == InstructionKind::kOffload;
  is_copied ? RemoveAfterCopy(resident_shards_.at(shard)) : Remove(resident_shards_.at(shard));
  resident_shards_.erase(shard);
}

void PlanBuilder::Offload(ShardId shard) { End(shard, InstructionKind::kOffload); }

void PlanBuilder::Drop(ShardId shard) { End(shard, InstructionKind::kDrop); }

void PlanBuilder::Fetch(ShardId shard) {
  const std::int64_t offset_bytes = Place(plan_.shards[Index(shard)].size_bytes);
  resident_shards_[shard] = offset_bytes;
  for (const Placement& member : plan_.shards[Index(shard)].members) {
    resident_[member.buffer] = offset_bytes + member.offset_bytes;
  }
  body().push_back({.kind = InstructionKind::kFetch, .shard = shard, .offset_bytes = offset_bytes});
}

void PlanBuilder::Fetch(BufferId buffer) {
  resident_[buffer] = Place(profile_.buffers[Index(buffer)].size_bytes);
  body().push_back(
      {.kind = InstructionKind::kFetch, .buffer = buffer, .offset_bytes = resident_[buffer]});
}

/// Places of shards' members were given before the shards were known.
void PlanBuilder::CompactHost() {
  plan_.host_bytes = 0;
  for (Placement& placement : plan_.host) {
    placement.offset_bytes = plan_.host_bytes;
    plan_.host_bytes += AlignUp(profile_.buffers[Index(placement.buffer)].size_bytes);
  }
  for (Shard& shard : plan_.shards) {
    shard.host_offset_bytes = plan_.host_bytes;
    plan_.host_bytes += shard.size_bytes;
  }
}

Plan PlanBuilder::Finish() {
  std::ranges::sort(plan_.host, std::less{}, &Placement::buffer);
  CompactHost();
  plan_.budget_bytes = plan_.arena_bytes + plan_.overhead_bytes;
  plan_.keep_all_duration_ns = plan_.duration_ns;
  plan_.keep_all_peak_bytes = plan_.peak_bytes;
  return std::move(plan_);
}

Plan KeepAllPlan(const Profile& profile) {
  const std::vector<OpEffects> effects = DeriveEffects(profile);
  std::vector<std::size_t> last_uses(profile.buffers.size());
  for (std::size_t op = 0; op < effects.size(); ++op) {
    for (const Value& read : effects[op].reads) last_uses[Index(read.buffer)] = op;
    for (const BufferId created : effects[op].creates) last_uses[Index(created)] = op;
  }
  PlanBuilder builder(profile);
  for (std::size_t phase = 0; phase < profile.phases.size(); ++phase) {
    builder.BeginPhase(PhaseId(phase));
    for (std::size_t op = Index(profile.phases[phase].begin); op < Index(profile.phases[phase].end);
         ++op) {
      builder.Compute(OpId(op));
      for (std::size_t i = 0; i < last_uses.size(); ++i) {
        const Buffer& buffer = profile.buffers[i];
        const bool is_used =
            std::any_of(effects[op].reads.begin(), effects[op].reads.end(),
                        [i](const Value& read) { return Index(read.buffer) == i; }) ||
            std::find(effects[op].creates.begin(), effects[op].creates.end(), BufferId(i)) !=
                effects[op].creates.end();
        if (is_used && last_uses[i] == op && !buffer.is_persistent &&
            buffer.role != BufferRole::kOutput) {
          builder.Free(BufferId(i));
        }
      }
    }
  }
  return builder.Finish();
}

}  // namespace stint
