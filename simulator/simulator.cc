#include "simulator/simulator.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ir/effects.h"
#include "ir/errors.h"
#include "ir/units.h"
#include "simulator/timeline.h"

namespace stint {
namespace {

/// A range of the arena.
struct Range {
  std::int64_t begin_bytes = 0;
  std::int64_t end_bytes = 0;
};

bool Overlap(const Range& a, const Range& b) {
  return a.begin_bytes < b.end_bytes && b.begin_bytes < a.end_bytes;
}

Range RangeAt(std::int64_t offset_bytes, std::int64_t size_bytes) {
  return {.begin_bytes = offset_bytes, .end_bytes = offset_bytes + AlignUp(size_bytes)};
}

/// Bytes live now, by role, and the moment there were most.
class Ledger {
 public:
  void Take(BufferRole role, std::int64_t bytes) {
    live_bytes_ += bytes;
    by_role_[static_cast<std::size_t>(role)] += bytes;
    if (live_bytes_ > peak_bytes_) {
      peak_bytes_ = live_bytes_;
      by_role_at_peak_ = by_role_;
    }
  }

  void Give(BufferRole role, std::int64_t bytes) {
    live_bytes_ -= bytes;
    by_role_[static_cast<std::size_t>(role)] -= bytes;
  }

  std::int64_t live_bytes() const { return live_bytes_; }
  std::int64_t peak_bytes() const { return peak_bytes_; }
  const BytesByRole& by_role() const { return by_role_; }

  std::vector<RoleBytes> PeakByRole() const {
    std::vector<RoleBytes> result;
    for (std::size_t i = 0; i < by_role_at_peak_.size(); ++i) {
      if (by_role_at_peak_[i] == 0) continue;
      result.push_back({.role = static_cast<BufferRole>(i), .size_bytes = by_role_at_peak_[i]});
    }
    return result;
  }

 private:
  std::int64_t live_bytes_ = 0;
  std::int64_t peak_bytes_ = 0;
  BytesByRole by_role_{};
  BytesByRole by_role_at_peak_{};
};

class Walk {
 public:
  Walk(const Profile& profile, const Plan& plan)
      : profile_(profile),
        plan_(plan),
        effects_(DeriveEffects(profile)),
        residences_(profile.buffers.size()),
        fetches_(profile.buffers.size()),
        offloads_(profile.buffers.size()),
        op_was_run_(profile.ops.size(), false) {}

  Report Run() {
    if (plan_.phases.size() != profile_.phases.size()) {
      throw InputError("plan:/phases", fmt::format("has {} phases, the profile has {}",
                                                   plan_.phases.size(), profile_.phases.size()));
    }
    where_ = "plan:/initial";
    for (const Placement& placement : plan_.initial) {
      BeginResidence(placement.buffer, placement.offset_bytes);
    }
    for (const Shard& shard : plan_.shards) {
      if (IsResident(shard)) TakeGaps(shard);
    }

    for (const Stream stream : {Stream::kCompute, Stream::kToHost, Stream::kToDevice}) {
      streams_.push_back({.stream = stream});
    }
    Report report = {.source = ReportSource::kPredicted,
                     .profile_sha256 = plan_.profile_sha256,
                     .plan_sha256 = PlanSha256(plan_),
                     .mode = "paper"};
    for (std::size_t i = 0; i < plan_.phases.size(); ++i) {
      report.duration_ns += RunPhase(i, report);
    }
    report.peak_bytes = ledger_.peak_bytes();
    report.arena_bytes = arena_bytes_;
    report.host_bytes = plan_.host_bytes;
    report.snapshot_bytes = plan_.snapshot_bytes;
    report.recomputed_op_count = recomputed_op_count_;
    report.peak_by_role = ledger_.PeakByRole();
    if (has_copies_) {
      report.streams = std::move(streams_);
      report.stalls = std::move(stalls_);
    }
    if (profile_.device.kind != DeviceKind::kCpu) {
      report.process_bytes = plan_.overhead_bytes + arena_bytes_;
    }
    return report;
  }

 private:
  /// A copy that may still be under way, and the arena range it uses.
  struct CopyInFlight {
    Range range{};
    std::int32_t task = 0;
  };

  std::int64_t RunPhase(std::size_t index, Report& report) {
    const Phase& phase = profile_.phases[index];
    const PhasePlan& plan = plan_.phases[index];
    const std::string where = fmt::format("plan:/phases/{}", index);
    PhaseReport& result = report.phases.emplace_back(
        PhaseReport{.name = phase.name, .repeat_count = phase.repeat_count});

    phase_ = static_cast<PhaseId>(index);
    std::int64_t clock_ns = 0;
    clock_ns += RunPart(plan.prologue, where + "/prologue", 1, clock_ns, result.prologue);
    clock_ns += phase.repeat_count *
                RunPart(plan.body, where + "/body", phase.repeat_count, clock_ns, result.body);
    clock_ns += RunPart(plan.epilogue, where + "/epilogue", 1, clock_ns, result.epilogue);
    return clock_ns;
  }

  /// Walks instructions that begin at `begin_ns` of their phase; returns how long they take once.
  std::int64_t RunPart(const std::vector<Instruction>& instructions, const std::string& where,
                       std::int64_t repeat_count, std::int64_t begin_ns, Timeline& timeline) {
    tasks_.clear();
    in_flight_.clear();
    last_compute_.reset();
    is_compute_awaited_ = false;
    awaited_.fill(-1);
    std::ranges::fill(fetches_, std::nullopt);
    std::ranges::fill(offloads_, std::nullopt);

    std::vector<BytesByRole> peaks;
    std::vector<std::optional<std::int32_t>> task_of;
    std::vector<std::optional<std::int32_t>> compute_before;
    for (std::size_t i = 0; i < instructions.size(); ++i) {
      where_ = fmt::format("{}/{}", where, i);
      const std::size_t task_count = tasks_.size();
      compute_before.push_back(last_compute_);
      during_peak_bytes_ = ledger_.live_bytes();
      during_peak_by_role_ = ledger_.by_role();
      timeline.request_live_bytes.emplace_back();
      RunInstruction(instructions[i], repeat_count, timeline.request_live_bytes.back());
      timeline.peak_bytes.push_back(during_peak_bytes_);
      peaks.push_back(during_peak_by_role_);
      timeline.live_after_bytes.push_back(ledger_.live_bytes());
      task_of.push_back(tasks_.size() > task_count ? std::optional(Newest()) : std::nullopt);
    }

    timeline.peak_by_role = PeaksByRole(peaks);

    const std::vector<TaskTimes> times = RunTasks(tasks_);
    for (std::size_t i = 0; i < instructions.size(); ++i) {
      // A free or a drop takes no time; it is where the compute stream stands.
      TaskTimes shown{};
      if (task_of[i]) {
        shown = times[*task_of[i]];
      } else if (compute_before[i]) {
        shown = {.begin_ns = times[*compute_before[i]].end_ns,
                 .end_ns = times[*compute_before[i]].end_ns};
      }
      timeline.start_ns.push_back(begin_ns + shown.begin_ns);
      timeline.duration_ns.push_back(shown.end_ns - shown.begin_ns);
    }
    std::int64_t part_ns = 0;
    for (const TaskTimes& time : times) part_ns = std::max(part_ns, time.end_ns);
    const std::string part = where.substr(where.rfind('/') + 1);
    AddStreamTimes(instructions, times, task_of, repeat_count);
    AddStalls(instructions, times, task_of, part);
    return part_ns;
  }

  using TaskOfInstruction = std::vector<std::optional<std::int32_t>>;

  void AddStreamTimes(const std::vector<Instruction>& instructions,
                      const std::vector<TaskTimes>& times, const TaskOfInstruction& task_of,
                      std::int64_t repeat_count) {
    for (std::size_t i = 0; i < instructions.size(); ++i) {
      if (!task_of[i]) continue;
      StreamTime& stream = streams_[static_cast<std::size_t>(tasks_[*task_of[i]].stream)];
      const TaskTimes& time = times[*task_of[i]];
      stream.busy_ns += repeat_count * (time.end_ns - time.begin_ns);
      if (stream.stream == Stream::kCompute) continue;
      stream.copied_bytes += repeat_count * MovedBytes(instructions[i]);
      has_copies_ = true;
    }
  }

  /// Compute that began later than the one before it ended, and copies that ended after all of it.
  void AddStalls(const std::vector<Instruction>& instructions, const std::vector<TaskTimes>& times,
                 const TaskOfInstruction& task_of, const std::string& part) {
    std::vector<std::size_t> instruction_of(tasks_.size());
    std::optional<std::int32_t> last_copy;  // To end.
    for (std::size_t i = 0; i < instructions.size(); ++i) {
      if (!task_of[i]) continue;
      instruction_of[*task_of[i]] = i;
      if (tasks_[*task_of[i]].stream == Stream::kCompute) continue;
      if (!last_copy || times[*task_of[i]].end_ns > times[*last_copy].end_ns)
        last_copy = task_of[i];
    }
    const auto add = [&](std::size_t instruction, std::int32_t copy, std::int64_t duration_ns) {
      const std::size_t cause = instruction_of[copy];
      stalls_.push_back({.phase = phase_,
                         .part = part,
                         .instruction = static_cast<std::int32_t>(instruction),
                         .copy = static_cast<std::int32_t>(cause),
                         .cause = NameOf(profile_, plan_, instructions[cause]),
                         .duration_ns = duration_ns});
    };
    std::int64_t clock_ns = 0;
    for (std::size_t i = 0; i < instructions.size(); ++i) {
      if (!task_of[i] || tasks_[*task_of[i]].stream != Stream::kCompute) continue;
      const TaskTimes& time = times[*task_of[i]];
      if (time.begin_ns > clock_ns) {
        const std::vector<std::int32_t>& waits = tasks_[*task_of[i]].waits_for;
        add(i,
            *std::ranges::max_element(waits, std::less{},
                                      [&](std::int32_t task) { return times[task].end_ns; }),
            time.begin_ns - clock_ns);
      }
      clock_ns = time.end_ns;
    }
    if (last_copy && times[*last_copy].end_ns > clock_ns) {
      add(instructions.size(), *last_copy, times[*last_copy].end_ns - clock_ns);
    }
  }

  void RunInstruction(const Instruction& instruction, std::int64_t repeat_count,
                      std::vector<std::int64_t>& request_live_bytes) {
    switch (instruction.kind) {
      case InstructionKind::kCompute:
        RunCompute(instruction, repeat_count, request_live_bytes);
        break;
      case InstructionKind::kFree:
      case InstructionKind::kDrop:
        for (const Placement& moved : Moved(instruction)) EndResidence(moved.buffer);
        GiveGaps(instruction);
        break;
      case InstructionKind::kOffload:
        RunOffload(instruction);
        break;
      case InstructionKind::kFetch:
        RunFetch(instruction);
        break;
    }
  }

  void RunCompute(const Instruction& instruction, std::int64_t repeat_count,
                  std::vector<std::int64_t>& request_live_bytes) {
    if (Index(instruction.op) >= profile_.ops.size()) Refuse("names an op the profile lacks");
    const Op& op = profile_.ops[Index(instruction.op)];
    const std::vector<Request>& requests = op.requests;
    if (instruction.request_offsets.size() != requests.size()) {
      Refuse(fmt::format("has {} request offsets, {} makes {} requests",
                         instruction.request_offsets.size(), op.name, requests.size()));
    }
    Task task = MakeCompute(profile_.device, op.duration_ns);
    for (const Value& value : effects_[Index(instruction.op)].reads) {
      if (!residences_[Index(value.buffer)]) {
        Refuse(fmt::format("reads {}, which is not resident", Describe(value.buffer)));
      }
      WaitFor(fetches_[Index(value.buffer)], task);
    }

    // Requests in order; what dies inside the op dies before a later request or at its end.
    std::vector<std::vector<std::size_t>> dying_after(requests.size());
    for (std::size_t i = 0; i < requests.size(); ++i) {
      const Range range = RangeAt(instruction.request_offsets[i], requests[i].size_bytes);
      WaitForCopiesIn(range, task);
      arena_bytes_ = std::max(arena_bytes_, range.end_bytes);
      ledger_.Take(RoleOf(requests[i]), AlignUp(requests[i].size_bytes));
      if (!requests[i].buffer) {
        const auto last = static_cast<std::size_t>(requests[i].freed_after_request);
        if (last < i || last >= requests.size()) Refuse(op.name + " has a damaged request script");
        dying_after[last].push_back(i);
      }
      request_live_bytes.push_back(ledger_.live_bytes());
      NotePeak();
      for (const std::size_t dead : dying_after[i]) {
        ledger_.Give(BufferRole::kWorkspace, AlignUp(requests[dead].size_bytes));
      }
    }

    const auto is_discarded = [&](BufferId buffer) {
      return std::ranges::binary_search(instruction.discards, buffer);
    };
    for (std::size_t i = 0; i < requests.size(); ++i) {
      if (!requests[i].buffer) continue;
      const std::int64_t bytes = AlignUp(requests[i].size_bytes);
      if (is_discarded(*requests[i].buffer)) {
        ledger_.Give(RoleOf(requests[i]), bytes);
      } else {
        Occupy(*requests[i].buffer, RangeAt(instruction.request_offsets[i], bytes));
      }
    }
    // Empty tensors are made without a request.
    for (const BufferId created : effects_[Index(instruction.op)].creates) {
      if (!is_discarded(created) && !residences_[Index(created)]) Occupy(created, Range{});
    }

    AddWaits(task);
    // Later work follows this op, and so the copies it waited for.
    std::erase_if(in_flight_, [&](const CopyInFlight& copy) {
      return std::ranges::find(task.waits_for, copy.task) != task.waits_for.end();
    });
    if (op_was_run_[Index(instruction.op)]) recomputed_op_count_ += repeat_count;
    op_was_run_[Index(instruction.op)] = true;
    tasks_.push_back(std::move(task));
    last_compute_ = Newest();
    is_compute_awaited_ = false;
  }

  /// What waiting costs beside the time that copies take: once for each of the two copy streams
  /// where no compute before has waited for so late a copy.
  void AddWaits(Task& compute) {
    std::array<std::int32_t, kStreamCount> newest = awaited_;
    for (const std::int32_t copy : compute.waits_for) {
      std::int32_t& awaited = newest[static_cast<std::size_t>(tasks_[copy].stream)];
      awaited = std::max(awaited, copy);
    }
    for (std::size_t i = 0; i < kStreamCount; ++i) {
      if (newest[i] > awaited_[i]) Lengthen(compute);
    }
    awaited_ = newest;
  }

  /// Copies begin after the newest compute, which must tell them so, once.
  void WaitForCompute(Task& copy) {
    WaitFor(last_compute_, copy);
    if (last_compute_ && !is_compute_awaited_) Lengthen(tasks_[*last_compute_]);
    is_compute_awaited_ = true;
  }

  void Lengthen(Task& compute) const {
    compute.alone_ns += profile_.device.wait_ns;
    compute.contended_ns += profile_.device.wait_ns;
  }

  void RunOffload(const Instruction& instruction) {
    const std::vector<Placement> moved = Moved(instruction);
    Task task = MakeCopy(profile_.device, Stream::kToHost, MovedBytes(instruction));
    WaitForCompute(task);  // Of which the value, at the latest, is.
    const auto index = static_cast<std::int32_t>(tasks_.size());
    for (const Placement& place : moved) {
      const BufferId buffer = place.buffer;
      WaitFor(fetches_[Index(buffer)], task);
      const Range range = EndResidence(buffer);
      in_flight_.push_back({.range = range, .task = index});
      offloads_[Index(buffer)] = index;
    }
    GiveGaps(instruction);
    tasks_.push_back(std::move(task));
  }

  void RunFetch(const Instruction& instruction) {
    Task task = MakeCopy(profile_.device, Stream::kToDevice, MovedBytes(instruction));
    WaitForCompute(task);  // Which, at the latest, used the place before.
    const auto index = static_cast<std::int32_t>(tasks_.size());
    for (const Placement& place : Moved(instruction)) {
      const BufferId buffer = place.buffer;
      WaitFor(offloads_[Index(buffer)], task);
      BeginResidence(buffer, instruction.offset_bytes + place.offset_bytes);
      const Range range = *residences_[Index(buffer)];
      WaitForCopiesIn(range, task);
      in_flight_.push_back({.range = range, .task = index});
      fetches_[Index(buffer)] = index;
    }
    if (instruction.shard) TakeGaps(plan_.shards[Index(*instruction.shard)]);
    NotePeak();
    tasks_.push_back(std::move(task));
  }

  /// The buffers an instruction moves, with their offsets within what it moves.
  std::vector<Placement> Moved(const Instruction& instruction) const {
    std::vector<Placement> moved;
    if (instruction.shard) {
      if (Index(*instruction.shard) >= plan_.shards.size()) Refuse("names a shard the plan lacks");
      moved = plan_.shards[Index(*instruction.shard)].members;
    } else if (instruction.buffer) {
      moved = {{.buffer = *instruction.buffer, .offset_bytes = 0}};
    } else {
      Refuse("names neither a buffer nor a shard");
    }
    for (const Placement& place : moved) {
      if (Index(place.buffer) >= profile_.buffers.size())
        Refuse("names a buffer the profile lacks");
    }
    return moved;
  }

  std::int64_t MovedBytes(const Instruction& instruction) const {
    if (instruction.shard) return plan_.shards[Index(*instruction.shard)].size_bytes;
    return profile_.buffers[Index(*instruction.buffer)].size_bytes;
  }

  /// A residence that a loader or a fetch fills.
  void BeginResidence(BufferId buffer, std::int64_t offset_bytes) {
    if (Index(buffer) >= profile_.buffers.size()) Refuse("names a buffer the profile lacks");
    const std::int64_t size_bytes = profile_.buffers[Index(buffer)].size_bytes;
    ledger_.Take(profile_.buffers[Index(buffer)].role, AlignUp(size_bytes));
    Occupy(buffer, RangeAt(offset_bytes, size_bytes));
  }

  // A shard holds its whole range; what lies between its members counts with the first one's role.

  bool IsResident(const Shard& shard) const {
    return !shard.members.empty() && residences_[Index(shard.members.front().buffer)].has_value();
  }

  std::int64_t GapBytes(const Shard& shard) const {
    std::int64_t gap_bytes = AlignUp(shard.size_bytes);
    for (const Placement& member : shard.members) {
      gap_bytes -= AlignUp(profile_.buffers[Index(member.buffer)].size_bytes);
    }
    return gap_bytes;
  }

  void NotePeak() {
    if (ledger_.live_bytes() <= during_peak_bytes_) return;
    during_peak_bytes_ = ledger_.live_bytes();
    during_peak_by_role_ = ledger_.by_role();
  }

  void TakeGaps(const Shard& shard) {
    const Placement& first = shard.members.front();
    ledger_.Take(profile_.buffers[Index(first.buffer)].role, GapBytes(shard));
    const std::int64_t begin_bytes =
        residences_[Index(first.buffer)]->begin_bytes - first.offset_bytes;
    arena_bytes_ = std::max(arena_bytes_, RangeAt(begin_bytes, shard.size_bytes).end_bytes);
  }

  void GiveGaps(const Instruction& instruction) {
    if (!instruction.shard) return;
    const Shard& shard = plan_.shards[Index(*instruction.shard)];
    ledger_.Give(profile_.buffers[Index(shard.members.front().buffer)].role, GapBytes(shard));
  }

  /// Makes `buffer` resident in bytes that are on the ledger.
  void Occupy(BufferId buffer, const Range& range) {
    if (residences_[Index(buffer)]) {
      Refuse(fmt::format("begins a second residence of {}", Describe(buffer)));
    }
    residences_[Index(buffer)] = range;
    arena_bytes_ = std::max(arena_bytes_, range.end_bytes);
  }

  Range EndResidence(BufferId buffer) {
    if (!residences_[Index(buffer)]) {
      Refuse(fmt::format("ends the residence of {}, which is not resident", Describe(buffer)));
    }
    const Range range = *residences_[Index(buffer)];
    ledger_.Give(profile_.buffers[Index(buffer)].role, range.end_bytes - range.begin_bytes);
    residences_[Index(buffer)].reset();
    return range;
  }

  void WaitForCopiesIn(const Range& range, Task& task) const {
    for (const CopyInFlight& copy : in_flight_) {
      if (Overlap(copy.range, range)) task.waits_for.push_back(copy.task);
    }
  }

  static void WaitFor(const std::optional<std::int32_t>& earlier, Task& task) {
    if (earlier) task.waits_for.push_back(*earlier);
  }

  BufferRole RoleOf(const Request& request) const {
    return request.buffer ? profile_.buffers[Index(*request.buffer)].role : BufferRole::kWorkspace;
  }

  std::int32_t Newest() const { return static_cast<std::int32_t>(tasks_.size()) - 1; }

  std::string Describe(BufferId buffer) const {
    const std::string& name = profile_.buffers[Index(buffer)].name;
    return name.empty() ? fmt::format("buffer {}", Index(buffer))
                        : fmt::format("buffer {} ({})", Index(buffer), name);
  }

  [[noreturn]] void Refuse(const std::string& fact) const { throw InputError(where_, fact); }

  const Profile& profile_;
  const Plan& plan_;
  const std::vector<OpEffects> effects_;
  std::string where_{};  // Of the instruction at hand.

  Ledger ledger_{};
  std::vector<std::optional<Range>> residences_;  // By buffer.
  std::int64_t arena_bytes_ = 0;
  std::int64_t during_peak_bytes_ = 0;  // Of the instruction at hand.
  BytesByRole during_peak_by_role_{};   // What it consists of.
  std::int64_t recomputed_op_count_ = 0;

  std::vector<StreamTime> streams_{};
  std::vector<Stall> stalls_{};
  bool has_copies_ = false;

  PhaseId phase_{};            // At hand.
  std::vector<Task> tasks_{};  // Of the part at hand, as the next six.
  std::optional<std::int32_t> last_compute_{};
  bool is_compute_awaited_ = false;                   // The last one, by a copy.
  std::array<std::int32_t, kStreamCount> awaited_{};  // By stream: newest task that a compute
                                                      // waited for; -1: none.
  std::vector<CopyInFlight> in_flight_{};
  std::vector<std::optional<std::int32_t>> fetches_;   // Newest fetch of each buffer.
  std::vector<std::optional<std::int32_t>> offloads_;  // Newest offload of each buffer.
  std::vector<bool> op_was_run_;                       // In any phase.
};

}  // namespace

Report Simulate(const Profile& profile, const Plan& plan) { return Walk(profile, plan).Run(); }

}  // namespace stint
