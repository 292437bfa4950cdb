#include "tests/support/naive_check_plan.h"

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <utility>
#include <vector>

#include "ir/effects.h"
#include "ir/units.h"

namespace stint::fixtures {
namespace {

using Content = std::size_t;
constexpr Content kNothing = 0;

struct Fault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

void Require(bool condition, const std::string& fault) {
  if (!condition) throw Fault(fault);
}

Content Mix(Content seed, Content more) {
  return (seed ^ (more + 0x9e3779b97f4a7c15u + (seed << 6) + (seed >> 2))) | 1u;
}

/// What an op leaves in its `result`-th buffer, given what it reads, in its repetition.
Content ResultOf(OpId op, std::int64_t repetition, const std::vector<Content>& reads,
                 std::size_t result) {
  Content content = Mix(Index(op) + 1, static_cast<Content>(repetition));
  for (const Content read : reads) content = Mix(content, read);
  return Mix(content, result);
}

/// A residence or request: [begin, end) in time, [offset, offset + size) in space.
struct Rectangle {
  std::int64_t offset_bytes = 0;
  std::int64_t size_bytes = 0;
  std::int64_t begin = 0;
  std::int64_t end = 0;  // 0: not over.
};

bool Overlap(std::int64_t begin_a, std::int64_t end_a, std::int64_t begin_b, std::int64_t end_b) {
  return begin_a < end_b && begin_b < end_a;
}

struct Place {
  Content content = kNothing;
  std::int64_t offset_bytes = 0;
  std::size_t rectangle = 0;
};

/// The arena and the host at one moment.
struct Memory {
  std::map<BufferId, Place> arena{};
  std::map<BufferId, Content> host{};
};

std::int64_t SimulatedRepeats(const Phase& phase) {
  return std::min<std::int64_t>(3, phase.repeat_count);
}

/// The unplanned run: contents of all buffers before and after each repetition, and what each op
/// reads in it.
class Reference {
 public:
  Reference(const Profile& profile, const std::vector<OpEffects>& effects) {
    std::vector<Content> contents(profile.buffers.size(), kNothing);
    for (std::size_t i = 0; i < contents.size(); ++i) {
      if (profile.buffers[i].is_persistent) contents[i] = Mix(i, 77);
    }
    for (const Phase& phase : profile.phases) {
      for (std::int64_t repetition = 0; repetition < SimulatedRepeats(phase); ++repetition) {
        snapshots.push_back(contents);
        for (std::size_t op = Index(phase.begin); op < Index(phase.end); ++op) {
          std::vector<Content> reads;
          for (const Value& value : effects[op].reads)
            reads.push_back(contents[Index(value.buffer)]);
          std::size_t result = 0;
          const auto id = static_cast<OpId>(op);
          for (const BufferId made : effects[op].creates) {
            contents[Index(made)] = ResultOf(id, repetition, reads, result++);
          }
          for (const Value& value : effects[op].writes) {
            contents[Index(value.buffer)] = ResultOf(id, repetition, reads, result++);
          }
          reads_of[{id, repetition}] = std::move(reads);
        }
      }
    }
    snapshots.push_back(contents);
  }

  std::vector<std::vector<Content>> snapshots{};  // Before each repetition, and at the end.
  std::map<std::pair<OpId, std::int64_t>, std::vector<Content>> reads_of{};
};

class PlannedRun {
 public:
  PlannedRun(const Profile& profile, const Plan& plan)
      : profile_(profile),
        plan_(plan),
        effects_(DeriveEffects(profile)),
        reference_(profile, effects_) {}

  PlanNumbers Run() {
    Require(plan_.profile_sha256 == ProfileSha256(profile_), "another profile");
    Require(plan_.phases.size() == profile_.phases.size(), "another number of phases");
    CheckHostPlaces();
    Begin();
    for (std::size_t i = 0; i < plan_.phases.size(); ++i) RunPhase(i);
    End();
    CheckRectangles();
    return numbers_;
  }

 private:
  std::int64_t SizeOf(BufferId id) const { return AlignUp(profile_.buffers[Index(id)].size_bytes); }
  Content Truth(BufferId id) const { return reference_.snapshots[snapshot_][Index(id)]; }

  void CheckMovable(BufferId id) const {
    Require(Index(id) < profile_.buffers.size(), "no buffer");
    const Buffer& buffer = profile_.buffers[Index(id)];
    Require(!buffer.is_host && buffer.role != BufferRole::kWorkspace, "not movable");
  }

  void CheckHostPlaces() {
    std::vector<std::pair<std::int64_t, std::int64_t>> ranges;  // Begin, end.
    for (const Placement& place : plan_.host) {
      CheckMovable(place.buffer);
      Require(has_host_place_.insert(place.buffer).second, "two host places");
      ranges.emplace_back(place.offset_bytes, place.offset_bytes + SizeOf(place.buffer));
    }
    for (const Shard& shard : plan_.shards) {
      ranges.emplace_back(shard.host_offset_bytes, shard.host_offset_bytes + shard.size_bytes);
      for (const Placement& member : shard.members) {
        CheckMovable(member.buffer);
        Require(profile_.buffers[Index(member.buffer)].is_persistent, "member not persistent");
        Require(has_host_place_.insert(member.buffer).second, "two host places");
        sharded_.insert(member.buffer);
        Require(member.offset_bytes + SizeOf(member.buffer) <= shard.size_bytes, "member too high");
        for (const Placement& other : shard.members) {
          Require(other.buffer == member.buffer ||
                      !Overlap(member.offset_bytes, member.offset_bytes + SizeOf(member.buffer),
                               other.offset_bytes, other.offset_bytes + SizeOf(other.buffer)),
                  "members overlap");
        }
      }
    }
    for (std::size_t i = 0; i < ranges.size(); ++i) {
      if (ranges[i].first == ranges[i].second) continue;
      numbers_.host_bytes = std::max(numbers_.host_bytes, ranges[i].second);
      for (std::size_t k = 0; k < i; ++k) {
        Require(ranges[k].first == ranges[k].second ||
                    !Overlap(ranges[i].first, ranges[i].second, ranges[k].first, ranges[k].second),
                "host places overlap");
      }
    }
  }

  void Begin() {
    for (const Placement& place : plan_.initial) {
      Require(Index(place.buffer) < profile_.buffers.size(), "no buffer");
      const Buffer& buffer = profile_.buffers[Index(place.buffer)];
      Require(buffer.is_persistent && !buffer.is_host, "initial buffer not persistent");
      memory_.arena[place.buffer] = {.content = Truth(place.buffer),
                                     .offset_bytes = place.offset_bytes};
      if (sharded_.count(place.buffer) == 0) {
        memory_.arena[place.buffer].rectangle =
            BeginRectangle(place.offset_bytes, SizeOf(place.buffer));
      }
    }
    for (const Shard& shard : plan_.shards) {
      const auto base = [&](const Placement& member) {
        const auto found = memory_.arena.find(member.buffer);
        return found == memory_.arena.end()
                   ? std::optional<std::int64_t>()
                   : std::optional(found->second.offset_bytes - member.offset_bytes);
      };
      for (const Placement& member : shard.members) {
        Require(base(member) == base(shard.members.front()), "shard torn apart");
      }
      if (!base(shard.members.front())) continue;
      Require(*base(shard.members.front()) >= 0, "shard below the arena");
      const std::size_t rectangle = BeginRectangle(*base(shard.members.front()), shard.size_bytes);
      for (const Placement& member : shard.members) {
        memory_.arena[member.buffer].rectangle = rectangle;
      }
    }
    for (std::size_t i = 0; i < profile_.buffers.size(); ++i) {
      const auto id = static_cast<BufferId>(i);
      const Buffer& buffer = profile_.buffers[i];
      if (!buffer.is_persistent || buffer.is_host || memory_.arena.count(id) > 0) continue;
      Require(has_host_place_.count(id) > 0, "persistent buffer nowhere");
      memory_.host[id] = Truth(id);
    }
    ++now_;
  }

  void RunPhase(std::size_t i) {
    phase_ = static_cast<PhaseId>(i);
    const Phase& phase = profile_.phases[i];
    const PhasePlan& planned = plan_.phases[i];
    repetition_ = 0;
    RunPart(planned.prologue, false, 1);
    for (repetition_ = 0; repetition_ < SimulatedRepeats(phase); ++repetition_) {
      const Memory before = memory_;
      run_counts_.clear();
      const bool is_first = repetition_ == 0;
      RunPart(planned.body, true, is_first ? phase.repeat_count : 0);
      for (OpId op = phase.begin; op < phase.end; op = static_cast<OpId>(Index(op) + 1)) {
        Require(run_counts_[op] > 0, "op left out");
      }
      ++snapshot_;
      if (phase.repeat_count > 1) CheckRepeats(phase, before);
    }
    --repetition_;
    RunPart(planned.epilogue, false, 1);
  }

  void CheckRepeats(const Phase& phase, const Memory& before) const {
    const std::vector<Content>& truth_before = reference_.snapshots[snapshot_ - 1];
    const std::vector<Content>& truth_after = reference_.snapshots[snapshot_];
    const auto is_same = [&](BufferId id, Content begin, Content end) {
      const Content begin_truth = truth_before[Index(id)];
      const Content end_truth = truth_after[Index(id)];
      const bool both_last = begin == begin_truth && end == end_truth;
      const bool untouched = begin == end && begin != begin_truth;
      const bool both_useless = begin == kNothing && end != end_truth && begin_truth != end_truth;
      return both_last || untouched || both_useless;
    };
    for (std::size_t op = Index(phase.begin); op < Index(phase.end); ++op) {
      for (const BufferId id : effects_[op].creates) {
        Require(before.arena.count(id) == 0, "resident before its repetition");
      }
    }
    for (std::size_t i = 0; i < profile_.buffers.size(); ++i) {
      const auto id = static_cast<BufferId>(i);
      const auto begin = before.arena.find(id);
      const auto end = memory_.arena.find(id);
      Require((begin == before.arena.end()) == (end == memory_.arena.end()), "residence changed");
      if (begin != before.arena.end()) {
        Require(begin->second.offset_bytes == end->second.offset_bytes, "offset changed");
        Require(is_same(id, begin->second.content, end->second.content), "content changed");
      }
      Require(
          is_same(id, HostContent(before, id), HostContent(memory_, id)) || IsMadeAnew(phase, id),
          "host content changed");
    }
  }

  static Content HostContent(const Memory& memory, BufferId id) {
    const auto found = memory.host.find(id);
    return found == memory.host.end() ? kNothing : found->second;
  }

  bool IsMadeAnew(const Phase& phase, BufferId id) const {
    for (std::size_t op = Index(phase.begin); op < Index(phase.end); ++op) {
      const std::vector<BufferId>& creates = effects_[op].creates;
      if (std::find(creates.begin(), creates.end(), id) != creates.end()) return true;
    }
    return false;
  }

  void End() const {
    std::set<BufferId> initial;
    for (const Placement& place : plan_.initial) {
      initial.insert(place.buffer);
      const auto found = memory_.arena.find(place.buffer);
      Require(found != memory_.arena.end() && found->second.offset_bytes == place.offset_bytes,
              "initial buffer not where it began");
      Require(found->second.content == Truth(place.buffer), "initial buffer not in last version");
    }
    for (std::size_t i = 0; i < profile_.buffers.size(); ++i) {
      const auto id = static_cast<BufferId>(i);
      const Buffer& buffer = profile_.buffers[i];
      if (buffer.is_host || buffer.role == BufferRole::kWorkspace) continue;
      if (buffer.is_persistent && initial.count(id) == 0) {
        Require(HostContent(memory_, id) == Truth(id), "host buffer not in last version");
      }
      if (buffer.role != BufferRole::kOutput) continue;
      bool is_remade = false;
      for (const Phase& phase : profile_.phases) {
        is_remade = is_remade || (phase.repeat_count > 1 && IsMadeAnew(phase, id));
      }
      const auto found = memory_.arena.find(id);
      Require(is_remade || (found != memory_.arena.end() && found->second.content == Truth(id)),
              "output not resident");
    }
  }

  void RunPart(const std::vector<Instruction>& instructions, bool is_body,
               std::int64_t repeat_count) {
    for (const Instruction& instruction : instructions) {
      switch (instruction.kind) {
        case InstructionKind::kCompute:
          Compute(instruction, is_body, repeat_count);
          break;
        case InstructionKind::kFree:
        case InstructionKind::kDrop:
        case InstructionKind::kOffload:
          Leave(instruction);
          break;
        case InstructionKind::kFetch:
          Fetch(instruction);
          break;
      }
      ++now_;
    }
  }

  void Compute(const Instruction& instruction, bool is_body, std::int64_t repeat_count) {
    const OpId id = instruction.op;
    Require(Index(id) < profile_.ops.size(), "no op");
    const Op& op = profile_.ops[Index(id)];
    const OpEffects& effects = effects_[Index(id)];
    const Phase& phase = profile_.phases[Index(phase_)];
    const bool is_at_home = is_body && phase.begin <= id && id < phase.end;
    Require(effects.is_recomputable || (is_at_home && run_counts_[id] == 0), "must run once");
    if (is_at_home) ++run_counts_[id];
    numbers_.duration_ns += op.duration_ns * repeat_count;
    const std::int64_t repetition = RepetitionOf(id);
    const std::vector<Content> reads = CheckReads(id, repetition);
    std::size_t result = 0;
    std::map<BufferId, Content> kept;
    for (const BufferId made : effects.creates) {
      const Content content = ResultOf(id, repetition, reads, result++);
      const auto& discards = instruction.discards;
      if (std::find(discards.begin(), discards.end(), made) != discards.end()) continue;
      Require(memory_.arena.count(made) == 0, "kept buffer resident already");
      kept[made] = content;
    }
    Require(kept.size() + instruction.discards.size() == effects.creates.size(), "wrong discards");
    MakeRequests(instruction, op, kept);
    for (const auto& [made, content] : kept) memory_.arena[made].content = content;
    for (const Value& value : effects.writes) {
      memory_.arena[value.buffer].content = ResultOf(id, repetition, reads, result++);
    }
  }

  /// Of the phase that `op` belongs to: the one that runs, the last one, or the first to come.
  std::int64_t RepetitionOf(OpId op) const {
    const Phase& here = profile_.phases[Index(phase_)];
    if (op >= here.end) return 0;
    if (op >= here.begin) return repetition_;
    for (const Phase& phase : profile_.phases) {
      if (op < phase.end) return SimulatedRepeats(phase) - 1;
    }
    throw std::logic_error("an op belongs to a phase");
  }

  std::vector<Content> CheckReads(OpId op, std::int64_t repetition) const {
    std::vector<Content> reads;
    for (const Value& value : effects_[Index(op)].reads) {
      const auto found = memory_.arena.find(value.buffer);
      Require(found != memory_.arena.end(), "reads what is not resident");
      reads.push_back(found->second.content);
    }
    Require(reads == reference_.reads_of.at({op, repetition}), "reads another content");
    return reads;
  }

  /// One moment for each request; what dies after request i is gone at the moment of i + 1.
  void MakeRequests(const Instruction& instruction, const Op& op,
                    const std::map<BufferId, Content>& kept) {
    Require(instruction.request_offsets.size() == op.requests.size(), "wrong request_offsets");
    const std::int64_t begin = now_;
    now_ += static_cast<std::int64_t>(op.requests.size());
    for (const auto& [made, content] : kept)
      memory_.arena[made] = {.rectangle = BeginRectangle(0, 0)};
    for (std::size_t i = 0; i < op.requests.size(); ++i) {
      const Request& request = op.requests[i];
      const bool is_kept = request.buffer && kept.count(*request.buffer) > 0;
      const std::int64_t last = request.freed_after_request;
      rectangles_.push_back({.offset_bytes = instruction.request_offsets[i],
                             .size_bytes = AlignUp(request.size_bytes),
                             .begin = begin + static_cast<std::int64_t>(i),
                             .end = is_kept          ? 0
                                    : request.buffer ? now_
                                                     : begin + last + 1});
      if (is_kept) {
        memory_.arena[*request.buffer] = {.offset_bytes = instruction.request_offsets[i],
                                          .rectangle = rectangles_.size() - 1};
      }
    }
  }

  std::vector<Placement> Members(const Instruction& instruction) const {
    if (instruction.shard) {
      Require(Index(*instruction.shard) < plan_.shards.size(), "no shard");
      return plan_.shards[Index(*instruction.shard)].members;
    }
    CheckMovable(*instruction.buffer);
    Require(sharded_.count(*instruction.buffer) == 0, "moves without its shard");
    return {{.buffer = *instruction.buffer}};
  }

  void Leave(const Instruction& instruction) {
    for (const Placement& member : Members(instruction)) {
      const auto found = memory_.arena.find(member.buffer);
      Require(found != memory_.arena.end(), "ends what is not resident");
      if (instruction.kind == InstructionKind::kOffload) {
        Require(has_host_place_.count(member.buffer) > 0, "no host place");
        memory_.host[member.buffer] = found->second.content;
      }
      Require(instruction.kind != InstructionKind::kDrop ||
                  HostContent(memory_, member.buffer) == found->second.content,
              "drops what the host lacks");
      rectangles_[found->second.rectangle].end = now_;
      memory_.arena.erase(found);
    }
  }

  void Fetch(const Instruction& instruction) {
    const std::vector<Placement> members = Members(instruction);
    const std::size_t rectangle =
        BeginRectangle(instruction.offset_bytes,
                       instruction.shard ? plan_.shards[Index(*instruction.shard)].size_bytes
                                         : SizeOf(*instruction.buffer));
    for (const Placement& member : members) {
      Require(memory_.arena.count(member.buffer) == 0, "fetches what is resident");
      const Content content = HostContent(memory_, member.buffer);
      Require(content != kNothing, "fetches what the host lacks");
      memory_.arena[member.buffer] = {
          .content = content,
          .offset_bytes = instruction.offset_bytes + member.offset_bytes,
          .rectangle = rectangle};
    }
  }

  std::size_t BeginRectangle(std::int64_t offset_bytes, std::int64_t size_bytes) {
    rectangles_.push_back({.offset_bytes = offset_bytes, .size_bytes = size_bytes, .begin = now_});
    return rectangles_.size() - 1;
  }

  void CheckRectangles() {
    for (Rectangle& rectangle : rectangles_) {
      if (rectangle.end == 0) rectangle.end = now_ + 1;
      if (rectangle.size_bytes == 0) continue;
      numbers_.arena_bytes =
          std::max(numbers_.arena_bytes, rectangle.offset_bytes + rectangle.size_bytes);
    }
    for (const Rectangle& rectangle : rectangles_) {
      std::int64_t live_bytes = 0;
      for (const Rectangle& other : rectangles_) {
        if (other.begin <= rectangle.begin && rectangle.begin < other.end) {
          live_bytes += other.size_bytes;
        }
        Require(&other == &rectangle ||
                    !Overlap(rectangle.begin, rectangle.end, other.begin, other.end) ||
                    !Overlap(rectangle.offset_bytes, rectangle.offset_bytes + rectangle.size_bytes,
                             other.offset_bytes, other.offset_bytes + other.size_bytes) ||
                    rectangle.size_bytes == 0 || other.size_bytes == 0,
                "rectangles overlap");
      }
      numbers_.peak_bytes = std::max(numbers_.peak_bytes, live_bytes);
    }
  }

  const Profile& profile_;
  const Plan& plan_;
  const std::vector<OpEffects> effects_;
  const Reference reference_;
  std::set<BufferId> has_host_place_{};
  std::set<BufferId> sharded_{};
  Memory memory_{};
  std::vector<Rectangle> rectangles_{};
  PlanNumbers numbers_{};
  std::int64_t now_ = 0;
  std::size_t snapshot_ = 0;  // Of the reference, at the begin of the repetition that runs.
  PhaseId phase_{};
  std::int64_t repetition_ = 0;
  std::map<OpId, std::int64_t> run_counts_{};  // In this repetition's body.
};

}  // namespace

NaiveVerdict NaiveCheckPlan(const Profile& profile, const Plan& plan) {
  NaiveVerdict verdict;
  try {
    verdict.numbers = PlannedRun(profile, plan).Run();
  } catch (const Fault& fault) {
    verdict.fault = fault.what();
  }
  return verdict;
}

/// What a save would lose, or where it would write twice.
std::string NaiveSnapshotFault(const Profile& profile, const Plan& plan) {
  std::int64_t end_bytes = 0;
  for (std::size_t i = 0; i < plan.snapshot.size(); ++i) {
    const Placement& place = plan.snapshot[i];
    if (Index(place.buffer) >= profile.buffers.size()) return "no buffer to save";
    const auto size_bytes = [&](const Placement& p) {
      return AlignUp(profile.buffers[Index(p.buffer)].size_bytes);
    };
    if (size_bytes(place) > 0) {
      end_bytes = std::max(end_bytes, place.offset_bytes + size_bytes(place));
    }
    for (std::size_t k = 0; k < i; ++k) {
      const Placement& other = plan.snapshot[k];
      if (size_bytes(place) > 0 && size_bytes(other) > 0 &&
          Overlap(place.offset_bytes, place.offset_bytes + size_bytes(place), other.offset_bytes,
                  other.offset_bytes + size_bytes(other))) {
        return "two saved in one place";
      }
    }
  }
  if (end_bytes != plan.snapshot_bytes) return "wrong snapshot bytes";
  for (std::size_t i = 0; i < profile.buffers.size(); ++i) {
    const auto id = static_cast<BufferId>(i);
    const bool is_state =
        profile.buffers[i].is_persistent && std::ranges::any_of(profile.ops, [&](const Op& op) {
          return std::ranges::count(op.writes, id) > 0;
        });
    const bool is_saved = std::ranges::count(plan.snapshot, id, &Placement::buffer) > 0;
    if (is_saved && !is_state) return "saves what is no state";
    if (is_state && !is_saved && !plan.snapshot.empty() && profile.buffers[i].size_bytes > 0) {
      return "does not save all state";
    }
  }
  return "";
}

std::string NaiveFault(const Profile& profile, const Plan& plan) {
  const NaiveVerdict verdict = NaiveCheckPlan(profile, plan);
  const PlanNumbers& numbers = verdict.numbers;
  if (!verdict.fault.empty()) return verdict.fault;
  if (plan.peak_bytes != numbers.peak_bytes) return "wrong peak";
  if (plan.arena_bytes != numbers.arena_bytes) return "wrong arena";
  if (plan.host_bytes != numbers.host_bytes) return "wrong host bytes";
  if (std::string fault = NaiveSnapshotFault(profile, plan); !fault.empty()) return fault;
  if (plan.host_budget_bytes > 0 &&
      plan.host_bytes + plan.snapshot_bytes > plan.host_budget_bytes) {
    return "more host memory than its budget";
  }
  bool has_copies = false;
  for (const PhasePlan& phase : plan.phases) {
    for (const auto* part : {&phase.prologue, &phase.body, &phase.epilogue}) {
      for (const Instruction& instruction : *part) {
        has_copies = has_copies || instruction.kind == InstructionKind::kOffload ||
                     instruction.kind == InstructionKind::kFetch;
      }
    }
  }
  const bool is_right_duration = has_copies ? plan.duration_ns >= numbers.duration_ns
                                            : plan.duration_ns == numbers.duration_ns;
  if (!is_right_duration) return "wrong duration";
  if (plan.lower_bound_ns > plan.duration_ns) return "bound above duration";
  if (plan.arena_bytes + plan.overhead_bytes > plan.budget_bytes) return "over budget";
  return {};
}

}  // namespace stint::fixtures
