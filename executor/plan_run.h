// One plan on its device: the arena, what is resident where, and the instructions. Internal to
// executor/; see executor.h for what it is for.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "dispatch/allocator_hook.h"
#include "dispatch/device_runtime.h"
#include "dispatch/replay.h"
#include "executor/arena.h"
#include "executor/executor.h"
#include "executor/io_slots.h"
#include "executor/plan_copies.h"
#include "executor/snapshot.h"
#include "executor/values.h"

namespace stint {

/// What one pass over the plan is for.
struct Pass {
  std::int64_t iteration = 0;            // Moves random numbers.
  bool use_graphs = false;               // Capture parts where possible, launch them from then on.
  bool spares_first_repetition = false;  // No graph of that: libraries load what they need in it.
  bool gives_results = false;            // To on_result.
  bool times_instructions = false;
  bool notes_copy_times = false;  // Costs time; graphs are captured anew when this changes.
  IoSlots* slots = nullptr;       // Bring inputs and take outputs; may be null.
};

/// Holds the arena while it lives. Order of use: Load, then Iterate as often as needed.
class PlanRun {
 public:
  /// The arguments must outlive it. @throws InputError as Execute does.
  PlanRun(const Profile& profile, const Plan& plan, DeviceRuntime& runtime,
          const ExecuteOptions& options);
  ~PlanRun();
  PlanRun(const PlanRun&) = delete;
  PlanRun& operator=(const PlanRun&) = delete;

  /// Gives each persistent buffer the value it has before the first iteration.
  void Load(const LoadValue& load);

  /// All phases once. Memory is measured in each pass that issues op by op.
  void Iterate(const Pass& pass);

  /// Begins to copy the state as the last iteration leaves it; iterations may follow at once.
  void TakeState(const std::shared_ptr<StateSnapshot>& snapshot);

  /// Whether any part of the plan is a graph now.
  bool HasGraphs() const;
  bool HasCopies() const { return copies_.HasCopies(); }

  /// What was measured of memory, and of copies in the newest pass that noted their times; the
  /// caller adds the times of iterations.
  Report MakeReport();

 private:
  using Clock = std::chrono::steady_clock;

  struct Graph {
    std::size_t end = 0;  // One past its last instruction.
    std::unique_ptr<DeviceGraph> graph{};
  };
  /// Prologue, body or epilogue of one phase.
  struct Part {
    const std::vector<Instruction>* instructions = nullptr;
    std::int64_t repeat_count = 1;
    bool can_be_graph = false;  // Draws no random numbers, and copies run beside it.
    Timeline timeline{};
    std::vector<BytesByRole> peaks{};           // By instruction; for the timeline.
    std::vector<Graph> graphs{};                // One after the other; empty until captured.
    bool graphs_note_copy_times = false;        //
    std::vector<std::int64_t> offsets_after{};  // Once captured: offsets_ after the part,
    Arena::Account account_after{};             // and the arena's account.
  };
  /// What lies between the members of a shard, from its start: taken as long as they are.
  struct Gap {
    std::int64_t offset_bytes = 0;
    std::int64_t size_bytes = 0;
  };
  struct ScopedDeviceMemory {
    DeviceRuntime& runtime;
    void* data;
    ~ScopedDeviceMemory() {
      if (data != nullptr) runtime.Free(data);
    }
  };
  /// Workspaces must be given back while the arena still stands.
  struct ScopedWorkspaces {
    DeviceRuntime& runtime;
    explicit ScopedWorkspaces(DeviceRuntime& r) : runtime(r) { runtime.ReleaseLibraryWorkspaces(); }
    ~ScopedWorkspaces() { runtime.ReleaseLibraryWorkspaces(); }
  };

  std::vector<PlannedWorkspace> FindWorkspaces() const;
  void FindFinalOps();
  void FindHostPlaces();
  void FindGaps();
  void AddPart(const std::vector<Instruction>& instructions, std::int64_t repeat_count);
  void RunPart(std::size_t index, const Pass& pass);
  bool MakeGraphs(std::size_t index, const Pass& pass);
  bool Capture(std::size_t index, const Pass& pass);
  void Launch(std::size_t index);
  void Issue(std::size_t index, std::size_t begin, std::size_t end, const Pass& pass,
             bool is_recorded);
  std::vector<std::int64_t> Issue(const Instruction& instruction, const Pass& pass);
  std::vector<std::int64_t> Compute(const Instruction& compute, std::int64_t iteration);
  void KeepOutput(const Instruction& compute, BufferId id, void* data);
  void PoisonDeadRequests(const Instruction& compute);
  void Move(const Instruction& move, const Pass& pass);
  void BeginGaps(ShardId shard);
  void EndGaps(ShardId shard);
  void Begin(BufferId id, std::int64_t offset_bytes);
  void End(BufferId id, const Pass& pass);
  std::int64_t Leave(BufferId id);
  bool IsDueResult(BufferId id) const;
  at::Tensor ImageOf(BufferId id);
  void GiveResult(BufferId id);
  void GiveFinalResults(const Pass& pass);
  void AddProgress(std::int64_t instruction_count);
  void* AddressOf(BufferId id);
  void* PlaceOf(BufferId id);
  std::int64_t HostScalarCount(const Op& op) const;
  std::vector<PlannedRequest> PlannedRequestsOf(const Instruction& compute) const;

  const Profile& profile_;
  const Plan& plan_;
  DeviceRuntime& runtime_;
  const ExecuteOptions& options_;

  OpTable ops_;
  BufferShapes shapes_;
  std::vector<OpId> final_ops_;               // By buffer: the last op that creates or writes it.
  std::vector<bool> is_written_;              // By buffer: in place.
  std::vector<bool> is_final_;                // By buffer: its final op has run in this pass.
  std::vector<bool> is_given_;                // By buffer: as a result, since it is final.
  std::vector<std::int64_t> offsets_;         // By buffer: of its residence; -1 if it has none.
  std::vector<std::vector<std::byte>> host_;  // By buffer: content of those that live on the host.
  std::vector<std::int64_t> host_offsets_;    // By buffer: of its copy in the host pool; -1: none.
  std::vector<std::vector<Gap>> gaps_;        // By shard.
  ScopedDeviceMemory memory_;
  ScopedDeviceMemory host_scalars_;
  Arena arena_;
  ScopedAllocatorListener listening_;
  ScopedWorkspaces workspaces_;
  PlanCopies copies_;
  std::vector<Part> parts_;                    // Prologue, body, epilogue of each phase.
  std::shared_ptr<StateSnapshot> snapshot_{};  // The newest copy of the state; null: none yet.

  bool is_capturing_ = false;
  Clock::time_point phase_start_{};
  std::int64_t done_count_ = 0;   // Instructions, for progress.
  std::int64_t total_count_ = 0;  //
};

}  // namespace stint
