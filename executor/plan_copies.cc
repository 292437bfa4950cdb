#include "executor/plan_copies.h"

#include <algorithm>
#include <array>
#include <utility>

#include "ir/errors.h"
#include "ir/units.h"

namespace stint {
namespace {

constexpr std::size_t kCopiesBesideGraph = 16;  // Some hundred commands.
constexpr std::int64_t kCopyJitterNs = 1'000'000;
constexpr std::int64_t kComputeJitterNs = 200'000;

}  // namespace

PlanCopies::PlanCopies(const Profile& profile, const Plan& plan, DeviceRuntime& runtime,
                       void* arena, const CopyOptions& options)
    : profile_(profile),
      plan_(plan),
      runtime_(runtime),
      arena_(static_cast<std::byte*>(arena)),
      options_(options),
      random_(options.jitter_seed.value_or(0)) {
  if (plan.host_bytes > 0) host_ = static_cast<std::byte*>(runtime.AllocateHost(plan.host_bytes));
  std::vector<PartWaits> waits = DeriveWaits(profile, plan);
  for (std::size_t i = 0; i < plan.phases.size(); ++i) {
    const PhasePlan& phase = plan.phases[i];
    AddPart(phase.prologue, 1, std::move(waits[i * kPartsPerPhase]));
    AddPart(phase.body, profile.phases[i].repeat_count, std::move(waits[i * kPartsPerPhase + 1]));
    AddPart(phase.epilogue, 1, std::move(waits[i * kPartsPerPhase + 2]));
  }
  if (HasCopies()) streams_ = runtime.MakeCopyStreams();
}

PlanCopies::~PlanCopies() {
  Stop();  // Copies under way use the pool.
  if (host_ != nullptr) runtime_.FreeHost(host_);
}

void PlanCopies::AddPart(const std::vector<Instruction>& instructions, std::int64_t repeat_count,
                         PartWaits waits) {
  Part part{.instructions = &instructions, .repeat_count = repeat_count, .waits = std::move(waits)};
  part.begin_mark = TakeMarks(1);
  for (std::size_t i = 0; i < instructions.size(); ++i) {
    const InstructionWaits& own = part.waits.instructions[i];
    const bool is_copy = own.stream != Stream::kCompute;
    part.first_marks.push_back(TakeMarks(is_copy ? 2 : 2 * own.waits.size()));
    if (is_copy) part.copies.push_back(MakeCopy(instructions[i], i, own));
  }
  part.end_mark = TakeMarks(2);
  parts_.push_back(std::move(part));
}

PlanCopies::Copy PlanCopies::MakeCopy(const Instruction& instruction, std::size_t index,
                                      const InstructionWaits& waits) {
  Copy copy{.instruction = index, .stream = waits.stream, .arena = arena_ + waits.offset_bytes};
  if (instruction.shard) {
    const Shard& shard = plan_.shards[Index(*instruction.shard)];
    copy.host = host_ + shard.host_offset_bytes;
    copy.size_bytes = shard.size_bytes;
    return copy;
  }
  const auto place =
      std::ranges::lower_bound(plan_.host, *instruction.buffer, std::less{}, &Placement::buffer);
  Check(place != plan_.host.end() && place->buffer == *instruction.buffer,
        "what moves alone has a place on the host");
  copy.host = host_ + place->offset_bytes;
  copy.size_bytes = profile_.buffers[Index(*instruction.buffer)].size_bytes;
  return copy;
}

bool PlanCopies::HasCopies() const {
  return std::ranges::any_of(parts_, [](const Part& part) { return part.waits.has_copies; });
}

std::size_t PlanCopies::TakeMarks(std::size_t count) {
  return std::exchange(mark_count_, mark_count_ + count);
}

std::vector<std::size_t> PlanCopies::GraphEnds(std::size_t part) const {
  const std::vector<Copy>& copies = parts_[part].copies;
  std::vector<std::size_t> ends;
  for (std::size_t i = kCopiesBesideGraph; i < copies.size(); i += kCopiesBesideGraph) {
    ends.push_back(copies[i].instruction);
  }
  ends.push_back(parts_[part].instructions->size());
  return ends;
}

void PlanCopies::SetNotesTimes(bool notes_times) {
  notes_times_ = notes_times;
  has_times_ = has_times_ || notes_times;
}

void PlanCopies::Begin(std::size_t part) {
  parts_[part].next_copy = 0;
  if (streams_ == nullptr) return;
  if (HasCopies(part)) streams_->Begin();
  Mark(Stream::kCompute, parts_[part].begin_mark);
}

void PlanCopies::IssueUpTo(std::size_t part, std::size_t instruction) {
  Part& issued = parts_[part];
  const auto due =
      std::ranges::lower_bound(issued.copies, instruction, std::less{}, &Copy::instruction) -
      issued.copies.begin();
  // Where compute runs while it is issued, copies must be under way beside it: all of them are
  // issued first. A device with streams of its own gets everything in the plan's order: whatever
  // makes its driver wait for all streams (a kernel is loaded, memory taken) then comes to an end.
  const bool is_ahead = streams_ != nullptr && runtime_.kind() == DeviceKind::kCpu;
  const auto end = is_ahead ? std::ssize(issued.copies) : due;
  while (std::cmp_less(issued.next_copy, end)) {
    const Copy& copy = issued.copies[issued.next_copy++];
    if (before_host_write_ && copy.stream == Stream::kToHost) {
      before_host_write_(copy.host, copy.size_bytes);
    }
    if (streams_ == nullptr) {
      RunInTurn(copy);
    } else {
      Issue(issued, copy);
    }
  }
}

void PlanCopies::Issue(const Part& part, const Copy& copy) {
  const InstructionWaits& own = part.waits.instructions[copy.instruction];
  const std::size_t mark = part.first_marks[copy.instruction];
  for (const Wait& wait : own.waits) streams_->Await(copy.stream, wait.stream, wait.count);
  DelayAtRandom(copy.stream);
  Mark(copy.stream, mark);
  if (copy.size_bytes > 0) {
    const bool is_offload = copy.stream == Stream::kToHost;
    streams_->Copy(copy.stream, is_offload ? copy.host : copy.arena,
                   is_offload ? copy.arena : copy.host, copy.size_bytes);
    if (is_offload && options_.poison) {
      streams_->Fill(copy.stream, copy.arena, *options_.poison, AlignUp(copy.size_bytes));
    }
  }
  Mark(copy.stream, mark + 1);
  if (own.is_awaited) streams_->Signal(copy.stream, own.count);
}

void PlanCopies::RunInTurn(const Copy& copy) {
  if (copy.size_bytes == 0) return;
  if (copy.stream == Stream::kToDevice) {
    return runtime_.CopyToDevice(copy.arena, copy.host, copy.size_bytes);
  }
  runtime_.CopyToHost(copy.host, copy.arena, copy.size_bytes);
  if (options_.poison) runtime_.Fill(copy.arena, *options_.poison, AlignUp(copy.size_bytes));
}

void PlanCopies::BeforeCompute(std::size_t part, std::size_t instruction) {
  if (streams_ == nullptr || !HasCopies(part)) return;
  const InstructionWaits& own = parts_[part].waits.instructions[instruction];
  std::size_t mark = parts_[part].first_marks[instruction];
  for (const Wait& wait : own.waits) {
    Mark(Stream::kCompute, mark++);
    streams_->Await(Stream::kCompute, wait.stream, wait.count);
    Mark(Stream::kCompute, mark++);
  }
  DelayAtRandom(Stream::kCompute);
}

void PlanCopies::AfterCompute(std::size_t part, std::size_t instruction) {
  if (streams_ == nullptr || !HasCopies(part)) return;
  const InstructionWaits& own = parts_[part].waits.instructions[instruction];
  if (own.is_awaited) streams_->Signal(Stream::kCompute, own.count);
}

void PlanCopies::End(std::size_t part) {
  Check(parts_[part].next_copy == parts_[part].copies.size(), "all copies of a part are issued");
  if (streams_ == nullptr) return;
  Mark(Stream::kCompute, parts_[part].end_mark);
  if (!HasCopies(part)) return;
  streams_->End();
  Mark(Stream::kCompute, parts_[part].end_mark + 1);
}

/// Nothing most of the time, so that the order of the streams varies.
void PlanCopies::DelayAtRandom(Stream stream) {
  if (!options_.jitter_seed) return;
  const bool is_copy = stream != Stream::kCompute;
  const std::uint64_t word = random_();
  if (word % (is_copy ? 2 : 8) != 0) return;
  const std::int64_t limit_ns = is_copy ? kCopyJitterNs : kComputeJitterNs;
  streams_->Delay(stream, static_cast<std::int64_t>(word >> 32) % limit_ns);
}

std::vector<Stall> PlanCopies::ReadTimes(const std::vector<Timeline*>& timelines,
                                         std::vector<StreamTime>& streams) const {
  std::vector<Stall> stalls;
  if (streams_ == nullptr || !has_times_) return stalls;
  for (const Stream stream : {Stream::kCompute, Stream::kToHost, Stream::kToDevice}) {
    streams.push_back({.stream = stream});
  }
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    const Part& part = parts_[i];
    std::int64_t compute_ns = streams_->TimeBetween(part.begin_mark, part.end_mark);
    if (HasCopies(i)) {
      compute_ns -= ReadStalls(i, ReadCopies(part, *timelines[i], streams), stalls);
    }
    streams.front().busy_ns += compute_ns * part.repeat_count;
  }
  return stalls;
}

/// @returns the copy that ended last.
std::size_t PlanCopies::ReadCopies(const Part& part, Timeline& timeline,
                                   std::vector<StreamTime>& streams) const {
  std::size_t last_copy = part.copies.front().instruction;
  std::int64_t last_end_ns = -1;
  for (const Copy& copy : part.copies) {
    const std::size_t mark = part.first_marks[copy.instruction];
    const std::int64_t begin_ns = streams_->TimeBetween(part.begin_mark, mark);
    const std::int64_t duration_ns = streams_->TimeBetween(mark, mark + 1);
    timeline.start_ns[copy.instruction] = begin_ns;
    timeline.duration_ns[copy.instruction] = duration_ns;
    StreamTime& stream = streams[static_cast<std::size_t>(copy.stream)];
    stream.busy_ns += duration_ns * part.repeat_count;
    stream.copied_bytes += copy.size_bytes * part.repeat_count;
    if (begin_ns + duration_ns <= last_end_ns) continue;
    last_end_ns = begin_ns + duration_ns;
    last_copy = copy.instruction;
  }
  return last_copy;
}

/// @returns how long compute stood still before the part's last instruction was over.
std::int64_t PlanCopies::ReadStalls(std::size_t index, std::size_t last_copy,
                                    std::vector<Stall>& stalls) const {
  static constexpr std::array kPartNames = {"prologue", "body", "epilogue"};
  const Part& part = parts_[index];
  const auto add_stall = [&](std::size_t instruction, std::size_t copy, std::int64_t duration_ns) {
    if (duration_ns <= 0) return;
    stalls.push_back({.phase = static_cast<PhaseId>(index / kPartsPerPhase),
                      .part = kPartNames[index % kPartsPerPhase],
                      .instruction = static_cast<std::int32_t>(instruction),
                      .copy = static_cast<std::int32_t>(copy),
                      .cause = NameOf(profile_, plan_, (*part.instructions)[copy]),
                      .duration_ns = duration_ns});
  };
  std::int64_t sum_ns = 0;
  for (std::size_t i = 0; i < part.instructions->size(); ++i) {
    const InstructionWaits& own = part.waits.instructions[i];
    if (own.stream != Stream::kCompute) continue;
    for (std::size_t k = 0; k < own.waits.size(); ++k) {
      const std::size_t mark = part.first_marks[i] + 2 * k;
      const std::int64_t duration_ns = streams_->TimeBetween(mark, mark + 1);
      add_stall(i, own.waits[k].instruction, duration_ns);
      sum_ns += duration_ns;
    }
  }
  add_stall(part.instructions->size(), last_copy,
            streams_->TimeBetween(part.end_mark, part.end_mark + 1));
  return sum_ns;
}

}  // namespace stint
