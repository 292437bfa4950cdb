#include "executor/plan_run.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "ir/errors.h"
#include "ir/units.h"

namespace stint {
namespace {

constexpr std::int64_t kNowhere = -1;
constexpr std::size_t kPartsPerPhase = PlanCopies::kPartsPerPhase;
constexpr std::uint8_t kPoison = 0xff;  // All ones: NaN in every floating type.

std::int64_t NanosecondsBetween(std::chrono::steady_clock::time_point begin,
                                std::chrono::steady_clock::time_point end) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(end - begin).count();
}

bool IsDiscarded(const Instruction& compute, BufferId id) {
  return std::binary_search(compute.discards.begin(), compute.discards.end(), id);
}

bool HasHostBuffers(const Profile& profile) {
  return std::ranges::any_of(profile.buffers, &Buffer::is_host);
}

/// `device` is the running one's kind; refuses what would run otherwise than planned.
const Profile& CheckFits(const Profile& profile, const Plan& plan, DeviceKind device) {
  if (plan.profile_sha256 != ProfileSha256(profile)) {
    throw InputError("plan:/profile_sha256", "the plan is for another profile");
  }
  if (profile.device.kind != device) {
    throw InputError("--device", fmt::format("is {}, but the profile was recorded on {}",
                                             ToString(device), ToString(profile.device.kind)));
  }
  const int thread_count = at::get_num_threads();
  if (device == DeviceKind::kCpu && profile.device.thread_count != thread_count) {
    throw InputError("--device", fmt::format("runs {} threads, but the profile was recorded with "
                                             "{}, and they decide what ops request: set "
                                             "OMP_NUM_THREADS={}",
                                             thread_count, profile.device.thread_count,
                                             profile.device.thread_count));
  }
  return profile;
}

}  // namespace

PlanRun::PlanRun(const Profile& profile, const Plan& plan, DeviceRuntime& runtime,
                 const ExecuteOptions& options)
    : profile_(CheckFits(profile, plan, runtime.kind())),
      plan_(plan),
      runtime_(runtime),
      options_(options),
      ops_(profile),
      shapes_(profile),
      final_ops_(profile.buffers.size()),
      is_written_(profile.buffers.size()),
      is_final_(profile.buffers.size()),
      is_given_(profile.buffers.size()),
      offsets_(profile.buffers.size(), kNowhere),
      host_(profile.buffers.size()),
      host_offsets_(profile.buffers.size(), kNowhere),
      memory_{.runtime = runtime, .data = runtime.Allocate(plan.arena_bytes)},
      host_scalars_{.runtime = runtime,
                    .data = HasHostBuffers(profile) ? runtime.Allocate(Arena::kHostScalarLimit *
                                                                       Arena::kHostScalarBytes)
                                                    : nullptr},
      arena_(memory_.data, plan.arena_bytes, FindWorkspaces(), host_scalars_.data),
      listening_(runtime.kind(), arena_),
      workspaces_(runtime),
      copies_(profile, plan, runtime, memory_.data,
              {.poison = options.poison ? std::optional(kPoison) : std::nullopt,
               .jitter_seed = options.jitter_seed}) {
  runtime_.SetDeterministic(profile_.is_deterministic);
  if (options_.poison) runtime_.Fill(memory_.data, kPoison, plan_.arena_bytes);
  FindFinalOps();
  FindHostPlaces();
  FindGaps();
  for (const Placement& placement : plan_.initial) Begin(placement.buffer, placement.offset_bytes);
  for (std::size_t i = 0; i < plan_.shards.size(); ++i) {
    if (offsets_[Index(plan_.shards[i].members.front().buffer)] != kNowhere) BeginGaps(ShardId(i));
  }
  for (std::size_t i = 0; i < plan_.phases.size(); ++i) {
    AddPart(plan_.phases[i].prologue, 1);
    AddPart(plan_.phases[i].body, profile_.phases[i].repeat_count);
    AddPart(plan_.phases[i].epilogue, 1);
  }
  total_count_ *= options_.iteration_count + 1;
}

PlanRun::~PlanRun() {
  // Kernels and copies still in flight use the arena.
  copies_.Stop();
  runtime_.Synchronize();
  // As what is copied from the host pool. It has failed or not, whoever reads it will hear.
  if (snapshot_ != nullptr) snapshot_->Finish();
}

std::vector<PlannedWorkspace> PlanRun::FindWorkspaces() const {
  std::vector<PlannedWorkspace> workspaces;
  for (const Placement& placement : plan_.initial) {
    const Buffer& buffer = profile_.buffers[Index(placement.buffer)];
    if (buffer.role != BufferRole::kWorkspace) continue;
    workspaces.push_back({.size_bytes = buffer.size_bytes, .offset_bytes = placement.offset_bytes});
  }
  return workspaces;
}

void PlanRun::FindFinalOps() {
  for (std::size_t i = 0; i < profile_.ops.size(); ++i) {
    const Op& op = profile_.ops[i];
    for (const auto& output : op.outputs) {
      if (output) final_ops_[Index(profile_.tensors[Index(*output)].buffer)] = OpId(i);
    }
    for (const BufferId id : op.writes) {
      final_ops_[Index(id)] = OpId(i);
      is_written_[Index(id)] = true;
    }
  }
}

void PlanRun::FindHostPlaces() {
  for (const Placement& placement : plan_.host) {
    host_offsets_[Index(placement.buffer)] = placement.offset_bytes;
  }
  for (const Shard& shard : plan_.shards) {
    for (const Placement& member : shard.members) {
      host_offsets_[Index(member.buffer)] = shard.host_offset_bytes + member.offset_bytes;
    }
  }
  for (std::size_t i = 0; i < profile_.buffers.size(); ++i) {
    const Buffer& buffer = profile_.buffers[i];
    if (buffer.is_host) host_[i].resize(static_cast<std::size_t>(buffer.size_bytes));
  }
}

void PlanRun::FindGaps() {
  for (const Shard& shard : plan_.shards) {
    std::vector<Placement> members = shard.members;
    std::ranges::sort(members, std::less{}, &Placement::offset_bytes);
    std::vector<Gap>& gaps = gaps_.emplace_back();
    std::int64_t end_bytes = 0;
    const auto add_gap_before = [&](std::int64_t begin_bytes) {
      if (begin_bytes > end_bytes) {
        gaps.push_back({.offset_bytes = end_bytes, .size_bytes = begin_bytes - end_bytes});
      }
    };
    for (const Placement& member : members) {
      add_gap_before(member.offset_bytes);
      end_bytes = member.offset_bytes + AlignUp(profile_.buffers[Index(member.buffer)].size_bytes);
    }
    add_gap_before(AlignUp(shard.size_bytes));
  }
}

void PlanRun::AddPart(const std::vector<Instruction>& instructions, std::int64_t repeat_count) {
  const bool draws_numbers = std::ranges::any_of(instructions, [&](const Instruction& instruction) {
    return instruction.kind == InstructionKind::kCompute &&
           profile_.ops[Index(instruction.op)].random;
  });
  const bool can_be_graph =
      !instructions.empty() && !draws_numbers && copies_.CanBeGraph(parts_.size());
  Part part{
      .instructions = &instructions, .repeat_count = repeat_count, .can_be_graph = can_be_graph};
  part.timeline.live_after_bytes.resize(instructions.size());
  part.timeline.peak_bytes.resize(instructions.size());
  part.peaks.resize(instructions.size());
  part.timeline.request_live_bytes.resize(instructions.size());
  part.timeline.start_ns.resize(instructions.size());
  part.timeline.duration_ns.resize(instructions.size());
  parts_.push_back(std::move(part));
  total_count_ += static_cast<std::int64_t>(instructions.size()) * repeat_count;
}

void PlanRun::Load(const LoadValue& load) {
  runtime_.Synchronize();  // Of an earlier iteration, copies may still use the host pool.
  for (std::size_t i = 0; i < profile_.buffers.size(); ++i) {
    const Buffer& buffer = profile_.buffers[i];
    if (!buffer.is_persistent || buffer.role == BufferRole::kWorkspace || buffer.size_bytes == 0) {
      continue;
    }
    const at::Tensor value = shapes_.MakeImage(BufferId(i));
    load(buffer, value);
    if (buffer.is_host) {
      std::memcpy(host_[i].data(), value.const_data_ptr(), host_[i].size());
    } else if (offsets_[i] != kNowhere) {
      runtime_.CopyToDevice(arena_.AddressOf(offsets_[i]), value.const_data_ptr(),
                            buffer.size_bytes);
    } else {
      Check(host_offsets_[i] != kNowhere, "a persistent buffer starts in the arena or on the host");
      std::memcpy(copies_.HostAt(host_offsets_[i]), value.const_data_ptr(),
                  static_cast<std::size_t>(buffer.size_bytes));
    }
  }
}

void PlanRun::Iterate(const Pass& pass) {
  std::fill(is_final_.begin(), is_final_.end(), false);
  const auto place_of = [this](BufferId id) { return PlaceOf(id); };
  copies_.SetNotesTimes(pass.notes_copy_times);
  if (pass.slots != nullptr) pass.slots->Send(pass.iteration, place_of);
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    if (i % kPartsPerPhase == 0) phase_start_ = Clock::now();
    RunPart(i, pass);
  }
  if (pass.gives_results) GiveFinalResults(pass);
  if (pass.slots != nullptr) pass.slots->Receive(pass.iteration, place_of);
  for (std::size_t i = 0; i < offsets_.size(); ++i) {
    // Outputs have been read.
    if (!profile_.buffers[i].is_persistent && offsets_[i] != kNowhere) End(BufferId(i), pass);
  }
}

void PlanRun::RunPart(std::size_t index, const Pass& pass) {
  const Part& part = parts_[index];
  for (std::int64_t i = 0; i < part.repeat_count; ++i) {
    const bool is_spared = pass.spares_first_repetition && i == 0;
    const bool is_graph = pass.use_graphs && !is_spared && MakeGraphs(index, pass);
    copies_.Begin(index);
    if (is_graph) {
      Launch(index);
    } else {
      arena_.TakePeak();
      Issue(index, 0, part.instructions->size(), pass, /*is_recorded=*/i == 0);
    }
    copies_.End(index);
  }
}

/// @returns false if the part cannot be graphs: memory from outside the arena, which the native
/// allocator may have given to others by the next launch, is no place for one either.
bool PlanRun::MakeGraphs(std::size_t index, const Pass& pass) {
  Part& part = parts_[index];
  if (!part.can_be_graph || !arena_.served().foreign.empty()) return false;
  if (!part.graphs.empty() && part.graphs_note_copy_times == pass.notes_copy_times) return true;
  part.graphs.clear();
  part.graphs_note_copy_times = pass.notes_copy_times;
  const std::vector<std::int64_t> offsets_before = offsets_;
  Arena::Account account_before = arena_.account();
  part.can_be_graph = Capture(index, pass);
  if (part.can_be_graph) {
    part.offsets_after = offsets_;
    part.account_after = arena_.account();
  } else {
    part.graphs.clear();
  }
  offsets_ = offsets_before;
  arena_.SetAccount(std::move(account_before));
  return part.can_be_graph;
}

bool PlanRun::Capture(std::size_t index, const Pass& pass) {
  Part& part = parts_[index];
  std::size_t begin = 0;
  for (const std::size_t end : copies_.GraphEnds(index)) {
    is_capturing_ = true;
    std::unique_ptr<DeviceGraph> graph =
        runtime_.CaptureGraph([&] { Issue(index, begin, end, pass, /*is_recorded=*/false); });
    is_capturing_ = false;
    if (graph == nullptr || !arena_.served().foreign.empty()) return false;
    part.graphs.push_back({.end = end, .graph = std::move(graph)});
    begin = end;
  }
  return true;
}

void PlanRun::Launch(std::size_t index) {
  const Part& part = parts_[index];
  for (const Graph& graph : part.graphs) {
    copies_.IssueUpTo(index, graph.end);
    graph.graph->Launch();
  }
  offsets_ = part.offsets_after;
  arena_.SetAccount(part.account_after);
  AddProgress(static_cast<std::int64_t>(part.instructions->size()));
}

/// Copies are issued with the compute, but not while it is captured.
void PlanRun::Issue(std::size_t index, std::size_t begin, std::size_t end, const Pass& pass,
                    bool is_recorded) {
  Part& part = parts_[index];
  for (std::size_t i = begin; i < end; ++i) {
    const Instruction& instruction = (*part.instructions)[i];
    const bool is_copy = instruction.kind == InstructionKind::kOffload ||
                         instruction.kind == InstructionKind::kFetch;
    if (!is_capturing_) copies_.IssueUpTo(index, i + 1);
    if (!is_copy) copies_.BeforeCompute(index, i);
    const auto start = Clock::now();
    std::vector<std::int64_t> request_live_bytes;
    const auto issue = [&] { request_live_bytes = Issue(instruction, pass); };
    std::int64_t duration_ns = 0;
    if (pass.times_instructions && !is_copy) {
      duration_ns = runtime_.TimeOnce(issue);
    } else {
      issue();
    }
    if (!is_copy) copies_.AfterCompute(index, i);
    if (!pass.use_graphs || (pass.spares_first_repetition && !is_capturing_)) AddProgress(1);
    const BytesByRole peak = arena_.TakePeak();
    if (!is_recorded) continue;
    part.timeline.live_after_bytes[i] = arena_.live_bytes();
    part.timeline.peak_bytes[i] = std::accumulate(peak.begin(), peak.end(), std::int64_t{0});
    part.peaks[i] = peak;
    part.timeline.request_live_bytes[i] = std::move(request_live_bytes);
    part.timeline.duration_ns[i] = duration_ns;
    part.timeline.start_ns[i] =
        pass.times_instructions ? NanosecondsBetween(phase_start_, start) : 0;
  }
}

/// @returns live bytes after each request of a compute.
std::vector<std::int64_t> PlanRun::Issue(const Instruction& instruction, const Pass& pass) {
  switch (instruction.kind) {
    case InstructionKind::kCompute:
      return Compute(instruction, pass.iteration);
    case InstructionKind::kFree:
      End(*instruction.buffer, pass);
      break;
    case InstructionKind::kOffload:
    case InstructionKind::kFetch:
    case InstructionKind::kDrop:
      Move(instruction, pass);
      break;
  }
  return {};
}

std::vector<std::int64_t> PlanRun::Compute(const Instruction& compute, std::int64_t iteration) {
  const Op& op = profile_.ops[Index(compute.op)];
  arena_.BeginOp(PlannedRequestsOf(compute),
                 op.module.empty() ? op.name : op.name + " in " + op.module, HostScalarCount(op));
  ops_.Call(
      compute.op, iteration, [&](BufferId id) { return AddressOf(id); },
      [&](BufferId id, void* data) { KeepOutput(compute, id, data); });
  std::vector<std::int64_t> live_bytes = arena_.EndOp();
  if (options_.poison) PoisonDeadRequests(compute);
  const auto finish = [&](BufferId id) {
    if (final_ops_[Index(id)] != compute.op) return;
    is_final_[Index(id)] = true;
    is_given_[Index(id)] = false;
  };
  for (const auto& output : op.outputs) {
    if (output) finish(profile_.tensors[Index(*output)].buffer);
  }
  for (const BufferId id : op.writes) finish(id);
  return live_bytes;
}

/// Outputs in host memory that may come to lie on the device while a graph is captured.
std::int64_t PlanRun::HostScalarCount(const Op& op) const {
  if (!is_capturing_ || op.random) return 0;
  return std::ranges::count_if(op.outputs, [this](const std::optional<TensorId>& output) {
    return output && profile_.buffers[Index(profile_.tensors[Index(*output)].buffer)].is_host;
  });
}

std::vector<PlannedRequest> PlanRun::PlannedRequestsOf(const Instruction& compute) const {
  const std::vector<Request>& requests = profile_.ops[Index(compute.op)].requests;
  std::vector<PlannedRequest> planned;
  planned.reserve(requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    planned.push_back({.size_bytes = requests[i].size_bytes,
                       .offset_bytes = compute.request_offsets[i],
                       .role = requests[i].buffer
                                   ? profile_.buffers[Index(*requests[i].buffer)].role
                                   : BufferRole::kWorkspace,
                       .freed_after_request = requests[i].freed_after_request});
  }
  return planned;
}

/// An output begins its residence where its request was served.
void PlanRun::KeepOutput(const Instruction& compute, BufferId id, void* data) {
  const Buffer& buffer = profile_.buffers[Index(id)];
  if (buffer.is_host) {
    std::memcpy(host_[Index(id)].data(), data, host_[Index(id)].size());
    return;
  }
  if (buffer.size_bytes == 0 || IsDiscarded(compute, id)) return;
  const Op& op = profile_.ops[Index(compute.op)];
  const auto request = std::find_if(op.requests.begin(), op.requests.end(),
                                    [&](const Request& r) { return r.buffer == id; });
  Check(request != op.requests.end(), "a kept output is one of its op's requests");
  const std::int64_t planned_bytes =
      compute.request_offsets[static_cast<std::size_t>(request - op.requests.begin())];
  if (arena_.Keep(data) != planned_bytes) {
    throw InputError(fmt::format("profile:/ops/{}/requests", Index(compute.op)),
                     fmt::format("{} asks this machine for other memory than recorded: record the "
                                 "profile here",
                                 op.name));
  }
  offsets_[Index(id)] = planned_bytes;
}

void PlanRun::PoisonDeadRequests(const Instruction& compute) {
  const std::vector<Request>& requests = profile_.ops[Index(compute.op)].requests;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const std::int64_t begin_bytes = compute.request_offsets[i];
    const std::int64_t size_bytes = AlignUp(requests[i].size_bytes);
    if (!arena_.IsFree(begin_bytes, begin_bytes + size_bytes)) continue;  // A later one took it.
    runtime_.Fill(arena_.AddressOf(begin_bytes), kPoison, size_bytes);
  }
}

/// What an offload, a fetch or a drop does to residences; the copy itself is issued beside.
void PlanRun::Move(const Instruction& move, const Pass& pass) {
  std::vector<Placement> moved;  // Relative to the instruction's own offset.
  if (move.buffer) {
    moved = {{.buffer = *move.buffer}};
  } else {
    moved = plan_.shards[Index(*move.shard)].members;
  }
  if (move.kind == InstructionKind::kFetch) {
    for (const Placement& member : moved) {
      Begin(member.buffer, move.offset_bytes + member.offset_bytes);
    }
    if (move.shard) BeginGaps(*move.shard);
    return;
  }
  if (move.shard) EndGaps(*move.shard);
  for (const Placement& member : moved) {
    if (move.kind == InstructionKind::kOffload) {
      Leave(member.buffer);
    } else {
      End(member.buffer, pass);
    }
  }
}

void PlanRun::BeginGaps(ShardId shard) {
  const Placement& first = plan_.shards[Index(shard)].members.front();
  const std::int64_t begin_bytes = offsets_[Index(first.buffer)] - first.offset_bytes;
  for (const Gap& gap : gaps_[Index(shard)]) {
    arena_.BeginResidence(begin_bytes + gap.offset_bytes, gap.size_bytes,
                          profile_.buffers[Index(first.buffer)].role);
  }
}

void PlanRun::EndGaps(ShardId shard) {
  const Placement& first = plan_.shards[Index(shard)].members.front();
  const std::int64_t begin_bytes = offsets_[Index(first.buffer)] - first.offset_bytes;
  for (const Gap& gap : gaps_[Index(shard)]) arena_.EndResidence(begin_bytes + gap.offset_bytes);
}

void PlanRun::Begin(BufferId id, std::int64_t offset_bytes) {
  const Buffer& buffer = profile_.buffers[Index(id)];
  if (buffer.size_bytes == 0) return;
  arena_.BeginResidence(offset_bytes, buffer.size_bytes, buffer.role);
  offsets_[Index(id)] = offset_bytes;
}

void PlanRun::End(BufferId id, const Pass& pass) {
  const Buffer& buffer = profile_.buffers[Index(id)];
  if (buffer.size_bytes == 0) return;
  if (pass.gives_results && !pass.use_graphs && IsDueResult(id)) GiveResult(id);
  const std::int64_t offset_bytes = Leave(id);
  if (options_.poison) {
    runtime_.Fill(arena_.AddressOf(offset_bytes), kPoison, AlignUp(buffer.size_bytes));
  }
}

/// Ends a residence, whose memory a copy may still read. @returns where it was.
std::int64_t PlanRun::Leave(BufferId id) {
  if (profile_.buffers[Index(id)].size_bytes == 0) return kNowhere;
  const std::int64_t offset_bytes = std::exchange(offsets_[Index(id)], kNowhere);
  arena_.EndResidence(offset_bytes);
  return offset_bytes;
}

/// Whether it is a gradient in its last version that on_result has not seen.
bool PlanRun::IsDueResult(BufferId id) const {
  const Buffer& buffer = profile_.buffers[Index(id)];
  return buffer.role == BufferRole::kGradient && !buffer.is_persistent && is_final_[Index(id)] &&
         !is_given_[Index(id)];
}

void* PlanRun::AddressOf(BufferId id) {
  const Buffer& buffer = profile_.buffers[Index(id)];
  if (buffer.is_host) return host_[Index(id)].data();
  if (buffer.size_bytes == 0) return nullptr;
  Check(offsets_[Index(id)] != kNowhere, "what an op reads or writes is resident");
  return arena_.AddressOf(offsets_[Index(id)]);
}

/// Where a buffer is between iterations, in the arena or on the host; null: nowhere.
void* PlanRun::PlaceOf(BufferId id) {
  const std::size_t i = Index(id);
  if (offsets_[i] != kNowhere) return arena_.AddressOf(offsets_[i]);
  return host_offsets_[i] == kNowhere ? nullptr : copies_.HostAt(host_offsets_[i]);
}

/// A copy of its memory, wherever it is; copies that brought it there are over.
at::Tensor PlanRun::ImageOf(BufferId id) {
  const std::size_t i = Index(id);
  const at::Tensor image = shapes_.MakeImage(id);
  const std::int64_t size_bytes = profile_.buffers[i].size_bytes;
  if (offsets_[i] == kNowhere && host_offsets_[i] != kNowhere) {
    runtime_.Synchronize();
    std::memcpy(image.mutable_data_ptr(), copies_.HostAt(host_offsets_[i]),
                static_cast<std::size_t>(size_bytes));
  } else {
    runtime_.CopyToHost(image.mutable_data_ptr(), AddressOf(id), size_bytes);
  }
  return image;
}

void PlanRun::TakeState(const std::shared_ptr<StateSnapshot>& snapshot) {
  if (snapshot_ == nullptr) {
    copies_.SetBeforeHostWrite([snapshot](const std::byte* begin, std::int64_t size_bytes) {
      snapshot->AwaitPool(begin, size_bytes);
    });
  }
  Check(snapshot_ == nullptr || snapshot_ == snapshot, "a run has one snapshot");
  snapshot_ = snapshot;
  snapshot->Begin([this](BufferId id) -> BufferPlace {
    const bool is_host = profile_.buffers[Index(id)].is_host;
    const bool is_resident = offsets_[Index(id)] != kNowhere;
    return {.kind = is_host       ? BufferPlace::Kind::kHost
                    : is_resident ? BufferPlace::Kind::kArena
                                  : BufferPlace::Kind::kHostPool,
            .data = static_cast<const std::byte*>(is_host ? host_[Index(id)].data() : PlaceOf(id))};
  });
}

void PlanRun::GiveResult(BufferId id) {
  const at::Tensor image = ImageOf(id);
  is_given_[Index(id)] = true;
  options_.on_result(profile_.buffers[Index(id)], shapes_.ValueIn(id, image));
}

/// What the end of an iteration leaves: outputs, what the program wrote, and gradients that were
/// offloaded and not fetched again.
void PlanRun::GiveFinalResults(const Pass& pass) {
  for (std::size_t i = 0; i < profile_.buffers.size(); ++i) {
    const Buffer& buffer = profile_.buffers[i];
    const bool is_updated = buffer.is_persistent && is_written_[i];
    const bool is_output = buffer.role == BufferRole::kOutput && !buffer.is_persistent;
    const bool is_left_on_host = !pass.use_graphs && IsDueResult(BufferId(i)) &&
                                 offsets_[i] == kNowhere && host_offsets_[i] != kNowhere;
    if (buffer.size_bytes > 0 && (is_updated || is_output || is_left_on_host)) {
      GiveResult(BufferId(i));
    }
  }
}

void PlanRun::AddProgress(std::int64_t instruction_count) {
  done_count_ += instruction_count;
  if (options_.on_progress) options_.on_progress(std::min(done_count_, total_count_), total_count_);
}

bool PlanRun::HasGraphs() const {
  return std::any_of(parts_.begin(), parts_.end(),
                     [](const Part& part) { return !part.graphs.empty(); });
}

Report PlanRun::MakeReport() {
  std::vector<Timeline*> timelines;
  for (Part& part : parts_) {
    part.timeline.peak_by_role = PeaksByRole(part.peaks);
    timelines.push_back(&part.timeline);
  }
  std::vector<StreamTime> streams;
  std::vector<Stall> stalls = copies_.ReadTimes(timelines, streams);
  Report report{.source = ReportSource::kMeasured,
                .profile_sha256 = plan_.profile_sha256,
                .plan_sha256 = PlanSha256(plan_),
                .mode = HasGraphs() ? "cuda-graph" : "op-by-op",
                .peak_bytes = arena_.peak_bytes(),
                .arena_bytes = arena_.highest_end_bytes(),
                .host_bytes = plan_.host_bytes,
                .peak_by_role = arena_.peak_by_role(),
                .streams = std::move(streams),
                .stalls = std::move(stalls),
                .served = arena_.served()};
  for (std::size_t i = 0; i < profile_.phases.size(); ++i) {
    report.phases.push_back({.name = profile_.phases[i].name,
                             .repeat_count = profile_.phases[i].repeat_count,
                             .prologue = parts_[i * kPartsPerPhase].timeline,
                             .body = parts_[i * kPartsPerPhase + 1].timeline,
                             .epilogue = parts_[i * kPartsPerPhase + 2].timeline});
  }
  return report;
}

}  // namespace stint
