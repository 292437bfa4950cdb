// What a plan does to memory and time: predicted by the simulator or measured by the executor. Both
// are the same type, so every view of one is a view of both, and "predicted == measured" is a
// comparison of two of these.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "ir/ids.h"
#include "ir/profile.h"
#include "ir/stream.h"

namespace stint {

/// Bytes by role, in the order of BufferRole.
using BytesByRole = std::array<std::int64_t, static_cast<std::size_t>(BufferRole::kWorkspace) + 1>;

enum class ReportSource : std::uint8_t { kPredicted, kMeasured };

/// What instructions' highest memory held of one role; requests that die inside an op count as
/// workspace.
struct RolePeaks {
  BufferRole role{};
  std::vector<std::int64_t> size_bytes{};  // By instruction, at the first moment of its peak_bytes.
};

/// Memory and time of a run of instructions; the vectors have one element for each. Bytes are of
/// device memory, each request and residence rounded up to 512.
///
///     live_after_bytes    |___a____|__a+b___|   after each instruction
///     peak_bytes          |  a+ws  | a+b+ws |   highest during it
///     request_live_bytes  | a,a+ws |b,..    |   right after each request of a compute
struct Timeline {
  std::vector<std::int64_t> live_after_bytes{};
  std::vector<std::int64_t> peak_bytes{};
  std::vector<RolePeaks> peak_by_role{};  // Of roles that occur, in their order; each instruction's
                                          // sum is its peak_bytes. Empty: not recorded.
  std::vector<std::vector<std::int64_t>>
      request_live_bytes{};                 // Empty list for other instructions.
  std::vector<std::int64_t> start_ns{};     // From the start of the first repetition of the phase.
  std::vector<std::int64_t> duration_ns{};  // Of the instruction on its stream; 0 where not
                                            // measured (computes inside a CUDA graph).
};

/// One phase: its prologue, one repetition of its body, its epilogue.
struct PhaseReport {
  std::string name{};
  std::int64_t repeat_count = 1;
  Timeline prologue{};
  Timeline body{};
  Timeline epilogue{};
};

/// Bytes by role at the first moment of highest memory; requests that die inside an op count as
/// workspace.
struct RoleBytes {
  BufferRole role{};
  std::int64_t size_bytes = 0;  // > 0.
};

/// A request the plan does not know, served outside the arena.
struct ForeignRequest {
  std::string where{};          // Op and module.
  std::int64_t size_bytes = 0;  // As asked.
};

/// How the allocator served a measured run; all zero and empty in a prediction.
struct Served {
  std::int64_t request_count = 0;   // At their planned offsets.
  std::int64_t mismatch_count = 0;  // Of another size than the script says.
  std::vector<ForeignRequest> foreign{};
};

/// One stream in one iteration, all repetitions together.
struct StreamTime {
  Stream stream{};
  std::int64_t busy_ns = 0;       // At work; of compute, the time that it did not stand still.
  std::int64_t copied_bytes = 0;  // 0 for compute.
};

/// Compute that stood still until a copy was over, in each repetition.
struct Stall {
  PhaseId phase{};
  std::string part{};            // "prologue", "body", "epilogue".
  std::int32_t instruction = 0;  // Of the part: the one that waited; one past the last if the
                                 // part's end waited for its copies.
  std::int32_t copy = 0;         // The instruction it waited for, in the same part.
  std::string cause{};           // That one in words: "fetch of shard 3 (up_blocks.1)".
  std::int64_t duration_ns = 0;  // > 0.
};

/// Comparison with the unplanned run, bitwise; present after --verify.
struct Verification {
  std::int64_t output_count = 0;         // Compared.
  std::int64_t gradient_count = 0;       //
  std::int64_t weight_count = 0;         // Updated weights and optimizer states.
  std::vector<std::string> differing{};  // Names of those that are not equal bit for bit.
};

struct Report {
  ReportSource source{};
  std::string profile_sha256{};
  std::string plan_sha256{};
  std::string mode{};                     // "paper", "op-by-op", "cuda-graph".
  std::int64_t peak_bytes = 0;            // Most bytes live at once.
  std::int64_t arena_bytes = 0;           // Highest end of any request or residence.
  std::int64_t duration_ns = 0;           // One iteration; a median if measured.
  std::int64_t spread_ns = 0;             // Half the interquartile range; 0 if predicted.
  std::int64_t iteration_count = 0;       // Measured ones; 0 if predicted.
  std::int64_t process_bytes = 0;         // Highest device memory of the process as the driver says
                                          // (overhead + arena if predicted; 0 on a CPU).
  std::int64_t host_bytes = 0;            // Pinned: of the plan's pool
  std::int64_t snapshot_bytes = 0;        // and of what a save copies to; 0 if none is wanted.
  std::int64_t recomputed_op_count = 0;   // Computes beyond the first of each op, in one iteration.
  std::vector<RoleBytes> peak_by_role{};  // In the order of BufferRole.
  std::vector<PhaseReport> phases{};
  std::vector<StreamTime> streams{};  // Compute, to host, to device; empty if nothing moves, or the
                                      // device copies in turn.
  std::vector<Stall> stalls{};        // In the order of instructions.
  Served served{};
  std::optional<Verification> verification{};
  Context context{};
};

/// The roles that occur in `by_instruction`.
std::vector<RolePeaks> PeaksByRole(const std::vector<BytesByRole>& by_instruction);

Report ReadReport(const std::filesystem::path& path);
void WriteReport(const Report& report, const std::filesystem::path& path);
std::string ToJson(const Report& report);
Report ReportFromJson(const std::string& text, const std::string& where);

/// Where two reports of one plan differ in memory: the first instruction or request, in words;
/// empty if they agree to the byte. Times are not compared.
/// @throws InputError if they are of different plans.
std::string FirstMemoryDifference(const Report& predicted, const Report& measured);

}  // namespace stint
