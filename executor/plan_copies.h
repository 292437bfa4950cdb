// The copies of one plan: the host pool they go to, the streams they run on, and how long they made
// the compute wait. Internal to executor/; knows devices through DeviceRuntime, nothing of LibTorch
// and of what is resident where.
//
//     for each part:   Begin
//                        IssueUpTo(i + 1)  BeforeCompute(i)  <the compute itself>  AfterCompute(i)
//                      End
//
// Graphs are captured with the same BeforeCompute and AfterCompute. One is launched when the copies
// up to its end have been issued: issuing either may have to wait until the device has room for
// more, which it has only if neither waits for what is not issued yet. So a graph has few copies
// beside it, and a part is several graphs, one after the other. Where the device cannot run copies
// beside its compute, they run in their turn, and no part with copies is a graph.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "dispatch/device_runtime.h"
#include "executor/copy_waits.h"
#include "ir/plan.h"
#include "ir/profile.h"
#include "ir/report.h"

namespace stint {

struct CopyOptions {
  std::optional<std::uint8_t> poison{};        // Fills what an offload leaves.
  std::optional<std::uint64_t> jitter_seed{};  // Delays copies and computes at random.
};

class PlanCopies {
 public:
  static constexpr std::size_t kPartsPerPhase = 3;  // Prologue, body, epilogue.

  /// `arena` begins the plan's arena. The arguments must outlive it.
  /// @throws InputError if the host cannot spare the plan's pool.
  PlanCopies(const Profile& profile, const Plan& plan, DeviceRuntime& runtime, void* arena,
             const CopyOptions& options);
  ~PlanCopies();
  PlanCopies(const PlanCopies&) = delete;
  PlanCopies& operator=(const PlanCopies&) = delete;

  std::byte* HostAt(std::int64_t offset_bytes) { return host_ + offset_bytes; }

  /// From now on called before a copy into a range of the host pool is issued: whoever reads there
  /// may make it wait.
  using BeforeHostWrite = std::function<void(const std::byte* begin, std::int64_t size_bytes)>;
  void SetBeforeHostWrite(BeforeHostWrite call) { before_host_write_ = std::move(call); }

  /// Whether any part has some.
  bool HasCopies() const;

  /// Whether the compute of `part` can be captured into a graph.
  bool CanBeGraph(std::size_t part) const { return streams_ != nullptr || !HasCopies(part); }

  /// Where the graphs of `part` end, in instructions; ascending, the last one is its size.
  std::vector<std::size_t> GraphEnds(std::size_t part) const;

  /// Whether copies and waits are marked from now on, for ReadTimes. Each mark costs some
  /// microseconds, also in graphs that are captured meanwhile.
  void SetNotesTimes(bool notes_times);

  void Begin(std::size_t part);
  /// Issues the copies before `instruction`; on the CPU, those after it, too.
  void IssueUpTo(std::size_t part, std::size_t instruction);
  void BeforeCompute(std::size_t part, std::size_t instruction);
  void AfterCompute(std::size_t part, std::size_t instruction);
  void End(std::size_t part);

  /// Lets copies under way run to their end, also after an error. Only the destructor may follow.
  void Stop() { streams_.reset(); }

  /// What the marks of the newest iteration say that was marked, once the device is idle; nothing
  /// if none was. Compute is at work when it does not wait for a copy. Copies show in `timelines`
  /// (of each part), too: when they began, from the start of their part, and how long they took. Of
  /// a repeated part the last repetition counts for all.
  std::vector<Stall> ReadTimes(const std::vector<Timeline*>& timelines,
                               std::vector<StreamTime>& streams) const;

 private:
  /// A copy as it is issued, again and again.
  struct Copy {
    std::size_t instruction = 0;
    Stream stream{};
    std::byte* arena = nullptr;
    std::byte* host = nullptr;
    std::int64_t size_bytes = 0;
  };
  struct Part {
    const std::vector<Instruction>* instructions = nullptr;
    std::int64_t repeat_count = 1;
    PartWaits waits{};
    std::vector<Copy> copies{};              // In the order of instructions.
    std::vector<std::size_t> first_marks{};  // By instruction: of its two for each copy or wait.
    std::size_t begin_mark = 0;
    std::size_t end_mark = 0;   // Of two: before and after the streams join.
    std::size_t next_copy = 0;  // The next to be issued in this repetition.
  };

  bool HasCopies(std::size_t part) const { return parts_[part].waits.has_copies; }
  void AddPart(const std::vector<Instruction>& instructions, std::int64_t repeat_count,
               PartWaits waits);
  Copy MakeCopy(const Instruction& instruction, std::size_t index, const InstructionWaits& waits);
  void Issue(const Part& part, const Copy& copy);
  void RunInTurn(const Copy& copy);
  void DelayAtRandom(Stream stream);
  void Mark(Stream stream, std::size_t mark) {
    if (notes_times_) streams_->Mark(stream, mark);
  }
  std::size_t TakeMarks(std::size_t count);
  std::size_t ReadCopies(const Part& part, Timeline& timeline,
                         std::vector<StreamTime>& streams) const;
  std::int64_t ReadStalls(std::size_t index, std::size_t last_copy,
                          std::vector<Stall>& stalls) const;

  const Profile& profile_;
  const Plan& plan_;
  DeviceRuntime& runtime_;
  std::byte* arena_;
  CopyOptions options_;
  std::mt19937_64 random_;
  std::byte* host_ = nullptr;
  std::vector<Part> parts_{};
  std::size_t mark_count_ = 0;
  BeforeHostWrite before_host_write_{};
  bool notes_times_ = false;  // Now.
  bool has_times_ = false;    // Of any iteration.
  std::unique_ptr<CopyStreams> streams_{};
};

}  // namespace stint
