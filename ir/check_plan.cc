#include "ir/check_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ir/arena_map.h"
#include "ir/effects.h"
#include "ir/errors.h"
#include "ir/plan_places.h"
#include "ir/quoted.h"
#include "ir/units.h"

namespace stint {
namespace {

constexpr std::int32_t kNoVersion = -1;
constexpr std::int64_t kLargestDurationNs = std::int64_t{1} << 60;

/// Where a buffer is, and which versions of it are there.
struct BufferState {
  bool is_resident = false;
  std::int64_t offset_bytes = 0;
  std::int32_t version = kNoVersion;       // In the arena, while resident.
  std::int32_t host_version = kNoVersion;  // On the host; kNoVersion: nothing of use.
};

/// Versions before and after some ops that are about to run again.
struct VersionChange {
  const std::vector<std::int32_t>& before;
  const std::vector<std::int32_t>& after;

  /// What the next repetition calls the content that this one calls `version`. Content that was
  /// made in between belongs to this repetition only and has no name in the next.
  std::int32_t Relabel(BufferId id, std::int32_t version) const {
    const std::int32_t first = before[Index(id)];
    const std::int32_t last = after[Index(id)];
    if (first == last || version < first) return version;
    return version == last ? first : kNoVersion;
  }
};

class Walk {
 public:
  Walk(const Profile& profile, const Plan& plan, const std::string& where)
      : profile_(profile),
        plan_(plan),
        where_(where),
        places_(CheckPlaces(profile, plan, where)),
        effects_(DeriveEffects(profile)),
        states_(profile.buffers.size()),
        run_counts_(profile.ops.size()) {}

  void Run() {
    std::vector<std::int32_t> versions(profile_.buffers.size(), kNoVersion);
    for (std::size_t i = 0; i < profile_.buffers.size(); ++i) {
      if (profile_.buffers[i].is_persistent) versions[i] = 0;
    }
    const std::vector<std::int32_t> versions_at_start = versions;
    BeginIteration();
    for (std::size_t i = 0; i < plan_.phases.size(); ++i) {
      std::vector<std::int32_t> versions_after = VersionsAfter(profile_, static_cast<PhaseId>(i));
      RunPhase(i, {.before = versions, .after = versions_after});
      versions = std::move(versions_after);
    }
    EndIteration({.before = versions_at_start, .after = versions});
    CheckHead();
  }

 private:
  // -- Errors ------------------------------------------------------------------------------------

  [[noreturn]] void FailAt(const std::string& pointer, const std::string& fact) const {
    throw InputError(where_ + ":" + pointer, fact);
  }
  /// About the instruction that runs.
  [[noreturn]] void Fail(const std::string& fact) const {
    FailAt(fmt::format("/phases/{}/{}/{}", phase_, part_, instruction_), fact);
  }
  std::string Name(BufferId id) const { return NameOf(profile_, id); }
  std::string Name(Occupant occupant) const {
    switch (occupant.kind) {
      case OccupantKind::kBuffer:
        return Name(static_cast<BufferId>(occupant.index));
      case OccupantKind::kShard:
        return fmt::format("shard {}", occupant.index);
      case OccupantKind::kRequest:
        return fmt::format("request {} of the same op", occupant.index);
    }
    throw std::logic_error("unknown kind of occupant");
  }

  // -- Phases ------------------------------------------------------------------------------------

  void BeginIteration() {
    for (std::size_t i = 0; i < plan_.initial.size(); ++i) {
      const Placement& place = plan_.initial[i];
      const std::string pointer = fmt::format("/initial/{}", i);
      if (Index(place.buffer) >= profile_.buffers.size()) {
        FailAt(pointer, "is no buffer of the profile");
      }
      const Buffer& buffer = profile_.buffers[Index(place.buffer)];
      if (!buffer.is_persistent || buffer.is_host) {
        FailAt(pointer, fmt::format("{} is not persistent in device memory", Name(place.buffer)));
      }
      states_[Index(place.buffer)] = {
          .is_resident = true, .offset_bytes = place.offset_bytes, .version = 0};
      if (places_.shard_of[Index(place.buffer)]) continue;
      const auto other = OccupyBuffer(place.buffer, place.offset_bytes);
      if (other) FailAt(pointer, fmt::format("overlaps {}", Name(*other)));
    }
    for (std::size_t i = 0; i < plan_.shards.size(); ++i) BeginShard(i);
    for (std::size_t i = 0; i < profile_.buffers.size(); ++i) {
      const Buffer& buffer = profile_.buffers[i];
      if (!buffer.is_persistent || buffer.is_host || states_[i].is_resident) continue;
      if (!places_.has_host_place[i]) {
        FailAt("/initial", fmt::format("lacks {}, which has no place on the host either",
                                       Name(static_cast<BufferId>(i))));
      }
      states_[i].host_version = 0;
    }
  }

  /// The members of a shard begin in the arena, in order and together, or none of them does.
  void BeginShard(std::size_t i) {
    const Shard& shard = plan_.shards[i];
    const BufferState& first = states_[Index(shard.members.front().buffer)];
    const std::int64_t base_bytes = first.offset_bytes - shard.members.front().offset_bytes;
    for (const Placement& member : shard.members) {
      const BufferState& state = states_[Index(member.buffer)];
      if (state.is_resident != first.is_resident ||
          (state.is_resident && state.offset_bytes != base_bytes + member.offset_bytes)) {
        FailAt("/initial", fmt::format("tears shard {} apart at {}", i, Name(member.buffer)));
      }
    }
    if (!first.is_resident) return;
    if (base_bytes < 0) FailAt("/initial", fmt::format("puts shard {} below the arena", i));
    const auto other = arena_.Occupy(base_bytes, shard.size_bytes, ShardOccupant(i));
    if (other) FailAt("/initial", fmt::format("shard {} overlaps {}", i, Name(*other)));
  }

  void RunPhase(std::size_t i, const VersionChange& change) {
    const Phase& phase = profile_.phases[i];
    phase_ = i;
    std::int64_t duration_ns = RunPart("prologue", plan_.phases[i].prologue);
    const std::vector<BufferState> states_at_begin =
        phase.repeat_count > 1 ? states_ : std::vector<BufferState>();
    const std::int64_t body_ns = RunPart("body", plan_.phases[i].body);
    CheckAllOpsRan(phase);
    if (phase.repeat_count > 1) CheckRepeats(states_at_begin, change);
    duration_ns += RunPart("epilogue", plan_.phases[i].epilogue);
    std::int64_t repeated_ns = 0;
    const bool is_overflow = __builtin_mul_overflow(body_ns, phase.repeat_count, &repeated_ns) ||
                             repeated_ns > kLargestDurationNs;
    // Four terms of at most 2^60 each: their sum cannot overflow.
    if (!is_overflow) duration_ns_ += duration_ns + repeated_ns;
    if (is_overflow || duration_ns_ > kLargestDurationNs) {
      FailAt(fmt::format("/phases/{}", i), "takes more than 2^60 ns");
    }
  }

  /// @returns how long its computes take.
  std::int64_t RunPart(const char* part, const std::vector<Instruction>& instructions) {
    part_ = part;
    std::int64_t duration_ns = 0;
    for (instruction_ = 0; instruction_ < instructions.size(); ++instruction_) {
      const Instruction& instruction = instructions[instruction_];
      RunInstruction(instruction);
      if (instruction.kind != InstructionKind::kCompute) continue;
      duration_ns += profile_.ops[Index(instruction.op)].duration_ns;
      if (duration_ns > kLargestDurationNs) Fail("and those before take more than 2^60 ns");
    }
    return duration_ns;
  }

  void CheckAllOpsRan(const Phase& phase) const {
    for (std::size_t op = Index(phase.begin); op < Index(phase.end); ++op) {
      if (run_counts_[op] > 0) continue;
      FailAt(fmt::format("/phases/{}/body", phase_),
             fmt::format("lacks op {} ({})", op, Quoted(profile_.ops[op].name)));
    }
  }

  /// A repetition must leave everything as it found it: then all later ones are like the first.
  void CheckRepeats(const std::vector<BufferState>& states_at_begin,
                    const VersionChange& change) const {
    for (std::size_t i = 0; i < states_.size(); ++i) {
      const auto id = static_cast<BufferId>(i);
      const BufferState& begin = states_at_begin[i];
      const BufferState& end = states_[i];
      const auto fail = [&](const char* fact) {
        FailAt(fmt::format("/phases/{}/body", phase_),
               fmt::format("repeats, but {} {}", Name(id), fact));
      };
      if (begin.is_resident != end.is_resident) {
        fail(end.is_resident ? "is resident only at its end" : "is resident only at its start");
      }
      if (begin.is_resident && begin.offset_bytes != end.offset_bytes) {
        fail("lies elsewhere at its end");
      }
      if (begin.is_resident && begin.version != change.Relabel(id, end.version)) {
        fail("does not hold what the next repetition expects");
      }
      if (begin.host_version != change.Relabel(id, end.host_version)) {
        fail("is not on the host as the next repetition expects");
      }
    }
  }

  void EndIteration(const VersionChange& change) const {
    const std::vector<bool> may_be_lost = OutputsOfRepeatedPhases();
    std::vector<std::optional<std::int64_t>> begin_offset_bytes(states_.size());
    for (const Placement& place : plan_.initial) {
      begin_offset_bytes[Index(place.buffer)] = place.offset_bytes;
    }
    for (std::size_t i = 0; i < states_.size(); ++i) {
      const Buffer& buffer = profile_.buffers[i];
      const BufferState& state = states_[i];
      const auto fail = [&](const char* fact) {
        FailAt("/phases", fmt::format("end, but {} {}", Name(static_cast<BufferId>(i)), fact));
      };
      if (buffer.is_host || buffer.role == BufferRole::kWorkspace) continue;
      const bool is_last = state.is_resident && state.version == change.after[i];
      if (begin_offset_bytes[i]) {
        if (!is_last) fail("is not resident in its last version");
        if (state.offset_bytes != *begin_offset_bytes[i]) fail("does not lie where it began");
      } else if (buffer.is_persistent && state.host_version != change.after[i]) {
        fail("is not on the host in its last version");
      }
      if (buffer.role == BufferRole::kOutput && !may_be_lost[i] && !is_last) {
        fail("is an output and not resident");
      }
    }
  }

  /// Outputs that every repetition makes anew cannot stay: a repetition ends as it began.
  std::vector<bool> OutputsOfRepeatedPhases() const {
    std::vector<bool> is_remade(profile_.buffers.size());
    for (const Phase& phase : profile_.phases) {
      if (phase.repeat_count == 1) continue;
      for (std::size_t op = Index(phase.begin); op < Index(phase.end); ++op) {
        for (const BufferId id : effects_[op].creates) is_remade[Index(id)] = true;
      }
    }
    return is_remade;
  }

  void CheckHead() const {
    const auto expect = [&](const char* pointer, std::int64_t stated, std::int64_t found) {
      if (stated == found) return;
      FailAt(pointer, fmt::format("is {}, but its instructions give {}", stated, found));
    };
    expect("/peak_bytes", plan_.peak_bytes, arena_.peak_bytes());
    expect("/arena_bytes", plan_.arena_bytes, arena_.height_bytes());
    // Copies may make the compute wait; how long is not known here.
    if (!has_copies_ || plan_.duration_ns < duration_ns_) {
      expect("/duration_ns", plan_.duration_ns, duration_ns_);
    }
    if (plan_.lower_bound_ns > plan_.duration_ns) {
      FailAt("/lower_bound_ns", "is above the plan's own duration");
    }
    if (plan_.arena_bytes + plan_.overhead_bytes > plan_.budget_bytes) {
      FailAt("/made_from/budget_bytes",
             fmt::format("is {}, but arena and overhead take {}", plan_.budget_bytes,
                         plan_.arena_bytes + plan_.overhead_bytes));
    }
  }

  // -- Instructions ------------------------------------------------------------------------------

  void RunInstruction(const Instruction& instruction) {
    if (instruction.kind == InstructionKind::kCompute) return Compute(instruction);
    if (instruction.shard && Index(*instruction.shard) >= plan_.shards.size()) {
      Fail("is about a shard that the plan does not have");
    }
    if (instruction.buffer) CheckPlannable(*instruction.buffer);
    switch (instruction.kind) {
      case InstructionKind::kFree:
        return EndResidence(instruction);
      case InstructionKind::kOffload:
        return Offload(instruction);
      case InstructionKind::kFetch:
        return Fetch(instruction);
      case InstructionKind::kDrop:
        return Drop(instruction);
      case InstructionKind::kCompute:
        break;
    }
    throw std::logic_error("unknown kind of instruction");
  }

  void CheckPlannable(BufferId id) const {
    if (Index(id) >= profile_.buffers.size()) Fail("is about a buffer the profile does not have");
    const Buffer& buffer = profile_.buffers[Index(id)];
    if (buffer.is_host) Fail(fmt::format("moves {}, which lives in host memory", Name(id)));
    if (buffer.role == BufferRole::kWorkspace) {
      Fail(fmt::format("moves {}, which is a library's", Name(id)));
    }
    if (places_.shard_of[Index(id)]) {
      Fail(fmt::format("moves {}, which moves only with shard {}", Name(id),
                       Index(*places_.shard_of[Index(id)])));
    }
  }

  void Compute(const Instruction& instruction) {
    if (Index(instruction.op) >= profile_.ops.size()) Fail("is about an op the profile lacks");
    const Op& op = profile_.ops[Index(instruction.op)];
    const OpEffects& effects = effects_[Index(instruction.op)];
    CountRun(instruction.op);
    for (const Value& value : effects.reads) CheckReadable(value);
    CheckDiscards(instruction, effects);
    MakeRequests(instruction, op);
    for (const BufferId id : effects.creates) {
      if (IsDiscarded(instruction, id)) continue;
      states_[Index(id)].is_resident = true;
      states_[Index(id)].version = 0;
    }
    for (const Value& value : effects.writes) states_[Index(value.buffer)].version = value.version;
  }

  void CountRun(OpId op) {
    const Phase& phase = profile_.phases[phase_];
    const bool is_own_body =
        op >= phase.begin && op < phase.end && std::string_view(part_) == "body";
    if (!effects_[Index(op)].is_recomputable) {
      const char* why = profile_.ops[Index(op)].random ? "draws random numbers" : "writes in place";
      if (!is_own_body) Fail(fmt::format("runs an op outside its phase's body that {}", why));
      if (run_counts_[Index(op)] > 0) Fail(fmt::format("runs an op again that {}", why));
    }
    if (is_own_body) ++run_counts_[Index(op)];
  }

  void CheckReadable(const Value& value) const {
    const BufferState& state = states_[Index(value.buffer)];
    if (!state.is_resident) {
      Fail(fmt::format("reads {}, which is not resident", Name(value.buffer)));
    }
    if (state.version != value.version) {
      Fail(fmt::format("reads version {} of {}, which holds version {}", value.version,
                       Name(value.buffer), state.version));
    }
  }

  static bool IsDiscarded(const Instruction& instruction, BufferId id) {
    return std::binary_search(instruction.discards.begin(), instruction.discards.end(), id);
  }

  void CheckDiscards(const Instruction& instruction, const OpEffects& effects) const {
    std::size_t discard_count = 0;
    for (const BufferId id : effects.creates) {
      if (IsDiscarded(instruction, id)) {
        ++discard_count;
      } else if (states_[Index(id)].is_resident) {
        Fail(fmt::format("keeps {}, which is resident already", Name(id)));
      }
    }
    if (discard_count != instruction.discards.size()) {
      Fail("discards a buffer that its op does not create");
    }
  }

  /// Takes the range of each request in order, and gives back those of dying ones on the way.
  void MakeRequests(const Instruction& instruction, const Op& op) {
    if (instruction.request_offsets.size() != op.requests.size()) {
      Fail(fmt::format("has {} request_offsets, but its op makes {} requests",
                       instruction.request_offsets.size(), op.requests.size()));
    }
    const auto last = static_cast<std::int32_t>(op.requests.size()) - 1;
    std::vector<std::pair<std::int32_t, std::int64_t>> deaths;  // After which request, where.
    for (std::size_t i = 0; i < op.requests.size(); ++i) {
      const Request& request = op.requests[i];
      const bool is_kept = request.buffer && !IsDiscarded(instruction, *request.buffer);
      if (is_kept) continue;
      deaths.emplace_back(request.buffer ? last : request.freed_after_request,
                          instruction.request_offsets[i]);
    }
    std::sort(deaths.begin(), deaths.end());
    auto death = deaths.begin();
    for (std::int32_t i = 0; i <= last; ++i) {
      for (; death != deaths.end() && death->first < i; ++death) arena_.Release(death->second);
      MakeRequest(instruction, op.requests[static_cast<std::size_t>(i)], i);
    }
    for (; death != deaths.end(); ++death) arena_.Release(death->second);
    for (std::size_t i = 0; i < op.requests.size(); ++i) {
      const Request& request = op.requests[i];
      if (!request.buffer || IsDiscarded(instruction, *request.buffer)) continue;
      arena_.Rename(instruction.request_offsets[i], BufferOccupant(*request.buffer));
      states_[Index(*request.buffer)].offset_bytes = instruction.request_offsets[i];
    }
  }

  void MakeRequest(const Instruction& instruction, const Request& request, std::int32_t i) {
    const std::int64_t offset_bytes = instruction.request_offsets[static_cast<std::size_t>(i)];
    const auto other = arena_.Occupy(offset_bytes, AlignUp(request.size_bytes),
                                     {.kind = OccupantKind::kRequest, .index = i});
    if (!other) return;
    Fail(fmt::format("request {} of {} bytes at {} overlaps {}", i, request.size_bytes,
                     offset_bytes, Name(*other)));
  }

  // -- Residences --------------------------------------------------------------------------------

  static Occupant BufferOccupant(BufferId id) {
    return {.kind = OccupantKind::kBuffer, .index = static_cast<std::int64_t>(id)};
  }
  static Occupant ShardOccupant(std::size_t i) {
    return {.kind = OccupantKind::kShard, .index = static_cast<std::int64_t>(i)};
  }
  std::optional<Occupant> OccupyBuffer(BufferId id, std::int64_t offset_bytes) {
    return arena_.Occupy(offset_bytes, AlignUp(profile_.buffers[Index(id)].size_bytes),
                         BufferOccupant(id));
  }

  /// The buffers an instruction is about, at their offsets from its own.
  std::vector<Placement> Members(const Instruction& instruction) const {
    if (instruction.shard) return plan_.shards[Index(*instruction.shard)].members;
    return {{.buffer = *instruction.buffer}};
  }

  void EndResidence(const Instruction& instruction) {
    const std::vector<Placement> members = Members(instruction);
    for (const Placement& member : members) {
      if (!states_[Index(member.buffer)].is_resident) {
        Fail(fmt::format("ends the residence of {}, which is not resident", Name(member.buffer)));
      }
    }
    const Placement& first = members.front();
    const std::int64_t size_bytes = instruction.shard
                                        ? plan_.shards[Index(*instruction.shard)].size_bytes
                                        : profile_.buffers[Index(first.buffer)].size_bytes;
    if (size_bytes > 0) {
      arena_.Release(states_[Index(first.buffer)].offset_bytes - first.offset_bytes);
    }
    for (const Placement& member : members) states_[Index(member.buffer)].is_resident = false;
  }

  void Offload(const Instruction& instruction) {
    has_copies_ = true;
    EndResidence(instruction);
    for (const Placement& member : Members(instruction)) {
      BufferState& state = states_[Index(member.buffer)];
      if (!places_.has_host_place[Index(member.buffer)]) {
        Fail(fmt::format("offloads {}, which has no place on the host", Name(member.buffer)));
      }
      state.host_version = state.version;
    }
  }

  void Fetch(const Instruction& instruction) {
    has_copies_ = true;
    for (const Placement& member : Members(instruction)) {
      BufferState& state = states_[Index(member.buffer)];
      if (state.is_resident) {
        Fail(fmt::format("fetches {}, which is resident already", Name(member.buffer)));
      }
      if (state.host_version == kNoVersion) {
        Fail(fmt::format("fetches {}, which is not on the host", Name(member.buffer)));
      }
      state.is_resident = true;
      state.version = state.host_version;
      state.offset_bytes = instruction.offset_bytes + member.offset_bytes;
    }
    const auto other = instruction.shard
                           ? arena_.Occupy(instruction.offset_bytes,
                                           plan_.shards[Index(*instruction.shard)].size_bytes,
                                           ShardOccupant(Index(*instruction.shard)))
                           : OccupyBuffer(*instruction.buffer, instruction.offset_bytes);
    if (other) Fail(fmt::format("overlaps {}", Name(*other)));
  }

  void Drop(const Instruction& instruction) {
    EndResidence(instruction);
    for (const Placement& member : Members(instruction)) {
      const BufferState& state = states_[Index(member.buffer)];
      if (state.host_version == state.version) continue;
      Fail(fmt::format("drops {}, whose version {} is not on the host", Name(member.buffer),
                       state.version));
    }
  }

  const Profile& profile_;
  const Plan& plan_;
  const std::string& where_;
  const PlanPlaces places_;
  const std::vector<OpEffects> effects_;

  std::vector<BufferState> states_;       // By BufferId.
  std::vector<std::int32_t> run_counts_;  // By OpId: computes in the body of its phase.
  ArenaMap arena_{};
  std::int64_t duration_ns_ = 0;
  bool has_copies_ = false;

  // The instruction that runs.
  std::size_t phase_ = 0;
  const char* part_ = "";
  std::size_t instruction_ = 0;
};

}  // namespace

void CheckPlan(const Profile& profile, const Plan& plan, const std::string& where) {
  Validate(plan, where);
  Walk(profile, plan, where).Run();
}

}  // namespace stint
