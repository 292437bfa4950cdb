#include "tests/support/plans.h"

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <utility>

#include "ir/effects.h"
#include "ir/errors.h"
#include "ir/units.h"
#include "tests/support/naive_check_plan.h"

namespace stint::fixtures {
namespace {

Instruction About(InstructionKind kind, BufferId id) { return {.kind = kind, .buffer = id}; }
Instruction About(InstructionKind kind, ShardId id) { return {.kind = kind, .shard = id}; }

std::size_t PhaseOf(const Profile& profile, std::size_t op) {
  for (std::size_t i = 0; i < profile.phases.size(); ++i) {
    if (op < Index(profile.phases[i].end)) return i;
  }
  throw std::logic_error("an op belongs to a phase");
}

bool Touches(const OpEffects& effects, BufferId id) {
  const auto is_it = [&](const Value& value) { return value.buffer == id; };
  return std::any_of(effects.reads.begin(), effects.reads.end(), is_it) ||
         std::find(effects.creates.begin(), effects.creates.end(), id) != effects.creates.end();
}

/// Assigns addresses by a walk over the draft.
class Placer {
 public:
  Placer(const Profile& profile, Draft draft) : profile_(profile), draft_(std::move(draft)) {}

  Plan Run() {
    Plan plan = {.profile_sha256 = ProfileSha256(profile_),
                 .solver = "fixture",
                 .status = PlanStatus::kFeasible,
                 .certificate = {.plan_class = "none", .method = "none"}};
    for (const BufferId id : draft_.initial) {
      plan.initial.push_back({.buffer = id, .offset_bytes = Take(SizeOf(id))});
      offsets_[id] = plan.initial.back().offset_bytes;
    }
    std::int64_t host_bytes = 0;
    for (const BufferId id : draft_.host) {
      plan.host.push_back({.buffer = id, .offset_bytes = host_bytes});
      host_bytes += SizeOf(id);
    }
    for (Shard& shard : draft_.shards) {
      shard.host_offset_bytes = host_bytes;
      host_bytes += shard.size_bytes;
    }
    plan.shards = draft_.shards;
    for (PhasePlan& phase : draft_.phases) {
      for (auto* part : {&phase.prologue, &phase.body, &phase.epilogue}) {
        for (Instruction& instruction : *part) PlaceInstruction(instruction);
      }
    }
    plan.phases = draft_.phases;
    FillHead(plan);
    return plan;
  }

 private:
  std::int64_t SizeOf(BufferId id) const { return AlignUp(profile_.buffers[Index(id)].size_bytes); }

  std::int64_t Take(std::int64_t size_bytes) {
    if (size_bytes == 0) return 0;
    std::int64_t offset_bytes = 0;
    for (const auto& [begin, end] : taken_) {
      if (begin - offset_bytes >= size_bytes) break;
      offset_bytes = end;
    }
    taken_[offset_bytes] = offset_bytes + size_bytes;
    return offset_bytes;
  }

  void PlaceInstruction(Instruction& instruction) {
    if (instruction.kind == InstructionKind::kCompute) {
      PlaceRequests(instruction);
    } else if (instruction.kind == InstructionKind::kFetch) {
      instruction.offset_bytes =
          Take(instruction.shard ? draft_.shards[Index(*instruction.shard)].size_bytes
                                 : SizeOf(*instruction.buffer));
      if (instruction.shard) {
        shard_offsets_[*instruction.shard] = instruction.offset_bytes;
      } else {
        offsets_[*instruction.buffer] = instruction.offset_bytes;
      }
    } else if (instruction.shard) {
      taken_.erase(shard_offsets_.at(*instruction.shard));
    } else if (SizeOf(*instruction.buffer) > 0) {
      taken_.erase(offsets_.at(*instruction.buffer));
    }
  }

  void PlaceRequests(Instruction& instruction) {
    const std::vector<Request>& requests = profile_.ops[Index(instruction.op)].requests;
    const auto is_kept = [&](const Request& request) {
      return request.buffer && std::find(instruction.discards.begin(), instruction.discards.end(),
                                         *request.buffer) == instruction.discards.end();
    };
    for (std::size_t i = 0; i < requests.size(); ++i) {
      for (std::size_t k = 0; k < i; ++k) {
        if (requests[k].buffer || requests[k].freed_after_request != static_cast<int>(i) - 1)
          continue;
        taken_.erase(instruction.request_offsets[k]);
      }
      instruction.request_offsets.push_back(Take(AlignUp(requests[i].size_bytes)));
      if (is_kept(requests[i])) offsets_[*requests[i].buffer] = instruction.request_offsets[i];
    }
    for (std::size_t k = 0; k < requests.size(); ++k) {
      const bool dies_now = requests[k].buffer ? !is_kept(requests[k])
                                               : requests[k].freed_after_request + 1 ==
                                                     static_cast<int>(requests.size());
      if (dies_now) taken_.erase(instruction.request_offsets[k]);
    }
  }

  void FillHead(Plan& plan) const {
    const PlanNumbers numbers = NaiveCheckPlan(profile_, plan).numbers;
    plan.peak_bytes = numbers.peak_bytes;
    plan.arena_bytes = numbers.arena_bytes;
    plan.host_bytes = numbers.host_bytes;
    plan.duration_ns = numbers.duration_ns;
    plan.budget_bytes = numbers.arena_bytes;
    plan.keep_all_peak_bytes = numbers.peak_bytes;
    for (const Phase& phase : profile_.phases) {
      for (std::size_t op = Index(phase.begin); op < Index(phase.end); ++op) {
        plan.keep_all_duration_ns += profile_.ops[op].duration_ns * phase.repeat_count;
      }
    }
    plan.lower_bound_ns = std::min(plan.keep_all_duration_ns, plan.duration_ns);
  }

  const Profile& profile_;
  Draft draft_;
  std::map<std::int64_t, std::int64_t> taken_{};  // Begin to end.
  std::map<BufferId, std::int64_t> offsets_{};
  std::map<ShardId, std::int64_t> shard_offsets_{};
};

/// Adds moves and recomputation to a draft, one at a time; a change that makes the plan wrong is
/// taken back.
class Scrambler {
 public:
  Scrambler(const Profile& profile, std::uint32_t seed)
      : profile_(profile), effects_(DeriveEffects(profile)), generator_(seed) {}

  Draft Run() {
    draft_ = KeepAllDraft(profile_);
    Try([this] { MoveShardToHost(); });
    for (int i = 0; i < 3; ++i) Try([this] { MoveToHost(); });
    for (int i = 0; i < 8; ++i) Try([this] { LeaveForAWhile(); });
    return draft_;
  }

 private:
  std::size_t Below(std::size_t end) { return end == 0 ? 0 : generator_() % end; }

  template <typename Change>
  void Try(Change&& change) {
    const Draft before = draft_;
    change();
    if (!NaiveCheckPlan(profile_, Place(profile_, draft_)).fault.empty()) draft_ = before;
  }

  /// In each phase that uses one of `members`: `fetch` before the first use, `leave` (or a drop, if
  /// nothing is written) after the last.
  template <typename Id>
  void MoveAround(const std::vector<BufferId>& members, Id id) {
    for (PhasePlan& phase : draft_.phases) {
      std::optional<std::size_t> first;
      std::size_t last = 0;
      bool is_written = false;
      for (std::size_t i = 0; i < phase.body.size(); ++i) {
        if (phase.body[i].kind != InstructionKind::kCompute) continue;
        const OpEffects& effects = effects_[Index(phase.body[i].op)];
        for (const BufferId member : members) {
          if (!Touches(effects, member)) continue;
          first = first.value_or(i);
          last = i;
          for (const Value& value : effects.writes) is_written |= value.buffer == member;
        }
      }
      if (!first) continue;
      const auto leave = is_written ? InstructionKind::kOffload : InstructionKind::kDrop;
      phase.body.insert(phase.body.begin() + static_cast<long>(last) + 1, About(leave, id));
      phase.body.insert(phase.body.begin() + static_cast<long>(*first),
                        About(InstructionKind::kFetch, id));
    }
    for (const BufferId member : members) std::erase(draft_.initial, member);
  }

  void MoveToHost() {
    if (draft_.initial.empty()) return;
    const BufferId id = draft_.initial[Below(draft_.initial.size())];
    draft_.host.push_back(id);
    std::sort(draft_.host.begin(), draft_.host.end());
    MoveAround({id}, id);
  }

  void MoveShardToHost() {
    if (draft_.initial.size() < 3) return;
    const BufferId a = draft_.initial[0];
    const BufferId b = draft_.initial[1 + Below(2)];
    const std::int64_t gap_bytes = 512 * static_cast<std::int64_t>(Below(2));
    const std::int64_t a_bytes = AlignUp(profile_.buffers[Index(a)].size_bytes);
    const std::int64_t b_bytes = AlignUp(profile_.buffers[Index(b)].size_bytes);
    draft_.shards.push_back({.name = "shard",
                             .size_bytes = a_bytes + gap_bytes + b_bytes,
                             .members = {{.buffer = a, .offset_bytes = 0},
                                         {.buffer = b, .offset_bytes = a_bytes + gap_bytes}}});
    MoveAround({a, b}, ShardId{0});
  }

  /// Between two uses of a buffer: offload and fetch, or free and compute again.
  void LeaveForAWhile() {
    std::vector<Instruction>& body = draft_.phases[Below(draft_.phases.size())].body;
    const std::size_t from = Below(body.size());
    const std::size_t to = from + 1 + Below(std::min<std::size_t>(6, body.size() - from));
    if (body.empty() || body[from].kind != InstructionKind::kCompute) return;
    const OpId op = body[from].op;
    const OpEffects& effects = effects_[Index(op)];
    if (effects.creates.empty()) return;
    const BufferId id = effects.creates[Below(effects.creates.size())];
    const auto at = [&](std::size_t i) { return body.begin() + static_cast<long>(i); };
    if (Below(2) == 0) {
      if (std::find(draft_.host.begin(), draft_.host.end(), id) == draft_.host.end()) {
        draft_.host.push_back(id);
        std::sort(draft_.host.begin(), draft_.host.end());
      }
      body.insert(at(to), About(InstructionKind::kFetch, id));
      body.insert(at(from + 1), About(InstructionKind::kOffload, id));
      return;
    }
    Instruction again = {.kind = InstructionKind::kCompute, .op = op, .discards = effects.creates};
    std::erase(again.discards, id);
    std::sort(again.discards.begin(), again.discards.end());
    body.insert(at(to), again);
    body.insert(at(from + 1), About(InstructionKind::kFree, id));
  }

  const Profile& profile_;
  const std::vector<OpEffects> effects_;
  std::mt19937 generator_;
  Draft draft_{};
};

}  // namespace

Draft KeepAllDraft(const Profile& profile) {
  const std::vector<OpEffects> effects = DeriveEffects(profile);
  Draft draft;
  draft.phases.resize(profile.phases.size());
  for (std::size_t i = 0; i < profile.buffers.size(); ++i) {
    const Buffer& buffer = profile.buffers[i];
    if (buffer.is_persistent && !buffer.is_host) draft.initial.push_back(static_cast<BufferId>(i));
  }
  std::map<BufferId, std::size_t> last_use;
  std::map<BufferId, std::size_t> created_by;
  for (std::size_t op = 0; op < effects.size(); ++op) {
    for (const BufferId id : effects[op].creates) last_use[id] = created_by[id] = op;
    for (const Value& value : effects[op].reads) last_use[value.buffer] = op;
  }
  for (std::size_t op = 0; op < effects.size(); ++op) {
    const std::size_t phase = PhaseOf(profile, op);
    PhasePlan& planned = draft.phases[phase];
    planned.body.push_back({.kind = InstructionKind::kCompute, .op = static_cast<OpId>(op)});
    for (const auto& [id, last] : last_use) {
      const bool is_repeated = profile.phases[phase].repeat_count > 1;
      const Buffer& buffer = profile.buffers[Index(id)];
      const bool stays = buffer.is_persistent ||
                         (buffer.role == BufferRole::kOutput &&
                          profile.phases[PhaseOf(profile, created_by[id])].repeat_count == 1);
      if (last != op || stays) continue;
      // A repetition must end as it began, so what came from before it leaves only afterwards.
      const bool is_from_before = PhaseOf(profile, created_by[id]) != phase;
      (is_repeated && is_from_before ? planned.epilogue : planned.body)
          .push_back(About(InstructionKind::kFree, id));
    }
  }
  return draft;
}

Plan Place(const Profile& profile, Draft draft) { return Placer(profile, std::move(draft)).Run(); }

Plan KeepAllPlan(const Profile& profile) { return Place(profile, KeepAllDraft(profile)); }

namespace {

/// From the last buffer to the first, with a hole after each.
void AddSnapshot(const Profile& profile, Plan& plan) {
  std::set<BufferId> written;
  for (const Op& op : profile.ops) written.insert(op.writes.begin(), op.writes.end());
  for (std::size_t i = profile.buffers.size(); i-- > 0;) {
    const auto id = static_cast<BufferId>(i);
    if (!profile.buffers[i].is_persistent || written.count(id) == 0) continue;
    const std::int64_t size_bytes = AlignUp(profile.buffers[i].size_bytes);
    const std::int64_t offset_bytes =
        plan.snapshot.empty() ? 0 : plan.snapshot_bytes + kAlignmentBytes;
    if (size_bytes == 0) continue;
    plan.snapshot.push_back({.buffer = id, .offset_bytes = offset_bytes});
    plan.snapshot_bytes = offset_bytes + size_bytes;
  }
  std::ranges::reverse(plan.snapshot);
}

}  // namespace

Plan RandomPlan(const Profile& profile, std::uint32_t seed) {
  Plan plan = Place(profile, Scrambler(profile, seed).Run());
  if (seed % 2 == 1) AddSnapshot(profile, plan);
  return plan;
}

}  // namespace stint::fixtures
