// A schedule of a profile: which op runs when, where every request of it lies in the arena, what is
// freed, moved or computed again. The same plan is simulated and executed.
//
// A residence is the time a buffer spends at one place of the arena:
//
//     initial / compute (kept output) / fetch  ----- resident at offset -----  free / drop /
//     offload
//
// Time inside a plan: instructions follow each other; a compute makes the requests of its op in
// order. Copies (offload, fetch) run beside the compute: an offload's residence ends and a fetch's
// value may be read only when the copy is over, and whoever needs that waits. Waits follow from the
// instructions; nobody writes them. Refuses to know: solvers, LibTorch.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "ir/ids.h"
#include "ir/profile.h"

namespace stint {

enum class InstructionKind : std::uint8_t {
  kCompute,  // Run `op`. Running it again is recomputation.
  kFree,     // End the residence of `buffer`; its value is lost unless the host holds it.
  kOffload,  // Copy `buffer` (or `shard`) to the host and end its residence when the copy is over.
  kFetch,    // Begin a residence of `buffer` (or `shard`) at `offset_bytes`, filled from the host.
  kDrop,     // End the residence of `buffer` (or `shard`) without a copy: the host holds the same
             // version.
};

/// One step of a phase. Fields that a kind does not use are empty.
struct Instruction {
  InstructionKind kind{};
  OpId op{};                                    // Compute.
  std::vector<std::int64_t> request_offsets{};  // Compute: arena offset of each request of the op,
                                                // in the order of its script; multiples of 512.
  std::vector<BufferId> discards{};             // Compute: created buffers that are not kept; their
                                     // requests die with the op. Ascending. A buffer that is
                                     // resident already is always among them.
  std::optional<BufferId> buffer{};  // Free, offload, fetch, drop: this, or
  std::optional<ShardId> shard{};    // (not for free) that.
  std::int64_t offset_bytes = 0;     // Fetch: where in the arena; a multiple of 512.
};

/// Where something lies, in the arena, in the host pool or in a shard.
struct Placement {
  BufferId buffer{};
  std::int64_t offset_bytes = 0;  // A multiple of 512.
};

/// Persistent buffers that move together: one contiguous range on both sides, one copy.
struct Shard {
  std::string name{};                  // "up_blocks.1".
  std::int64_t size_bytes = 0;         // Of the whole range.
  std::int64_t host_offset_bytes = 0;  // Of the range in the host pool.
  std::vector<Placement> members{};    // Offsets within the range; no two overlap.
};

/// The instructions of one phase of the profile.
struct PhasePlan {
  std::vector<Instruction> prologue{};  // Once, before the repetitions: fills the steady state.
  std::vector<Instruction> body{};  // repeat_count times; what is resident and where, and what the
                                    // host holds, is at its end as at its start if it repeats.
  std::vector<Instruction> epilogue{};  // Once, after them.
};

enum class PlanStatus : std::uint8_t {
  kOptimal,   // No plan of the certificate's class is faster.
  kFeasible,  // A limit stopped the proof; see lower_bound_ns.
};

/// A kind of row of the relaxation that certificates speak of (ir/check_certificate.h).
enum class BoundRow : std::uint8_t {
  kMemory,         // What is resident while the cut's op first runs fits the budget.
  kNeed,           // A buffer used in a segment was kept over its cut, or is made again in it.
  kClosure,        // The same of a buffer read by an op that runs again in the segment.
  kCarry,          // What is kept over a cut was kept over the one before, or made since.
  kSuffixNeed,     // As need, closure, and what sums up a creator's runs, for all that comes
  kSuffixClosure,  // after a cut instead of up to the next one.
  kSuffixSum,      //
  // Of plans with copies (ir/check_copy_certificate.h):
  kCompute,        // A window takes as long as what it computes;
  kSuffixCompute,  // what comes after a cut, as long as that computes;
  kToHost,         // a window, as long as its copies to the host,
  kToDevice,       // and to the device.
  kWrite,          // What is copied to the host was resident.
  kHost,           // What the host holds at a cut, it held at the one before, or was copied since.
  kFetch,          // What comes back, the host held.
  kSomewhere,      // What holds a value all the time is resident or on the host; what is used in a
                   // window, too, or it is made again.
  kHostMemory,     // What the host holds fits its pool.
  kOrigin,         // As closure, with what the host holds at the cut instead of what comes back.
  kSuffixSomewhere,  // As suffix need and closure, with what the host holds at the cut instead of
  kSuffixOrigin,     // all that comes back.
};

/// Rows of one kind at one cut, each with its multiplier.
struct BoundRows {
  BoundRow row{};
  std::int32_t cut = 0;                     // Index into Certificate::cuts.
  std::vector<OpId> ops{};                  // Closures and sums: the op that runs again.
  std::vector<BufferId> buffers{};          // All but memory and sums.
  std::vector<std::int64_t> multipliers{};  // >= 0, in units of 1 / scale ns; memory: ns a block
                                            // of 512 bytes.
};

/// What lower_bound_ns bounds, and why anyone should believe it: CheckCertificate computes the
/// bound from nothing but this and the profile.
struct Certificate {
  std::string plan_class{};  // "recorded-order": ops run first in the recorded order, any op may
                             // run again, nothing is moved to the host. "updates-movable": the
                             // same, but updates may come as early as the values they use allow:
                             // ops that write persistent buffers and else only what nobody uses
                             // later, make nothing, and are in phases that run once.
                             // "recorded-order-copies" and "updates-movable-copies": the same with
                             // copies. "updates-at-once-copies": with copies, and each update runs
                             // as early as it can.
  std::string method{};      // "sum-of-durations": every op runs at least once. "cuts": and some
                             // again, because the budget cannot hold what these cuts need.
                             // "windows": some again or copied, between cuts.
  std::int64_t limit_bytes = 0;  // "cuts": of plans whose residences and requests never take more.
                                 // "windows": of plans whose arena is no higher.
  std::int64_t host_limit_bytes = 0;    // "windows": and whose host pool is no larger; 0: any.
  std::int64_t largest_copy_bytes = 0;  // "windows": and whose shards are no larger; 0: any.
  std::int64_t other_way_permille = 0;  // "windows": of a copy's time, charged to the other
                                        // direction, too (ir/copy_floor.h); in [0, 1000].
  std::vector<OpId> cuts{};             // Ascending.
  std::int64_t scale = 1;               // Of the multipliers; > 0.
  std::vector<BoundRows> rows{};
  // "cuts": lower_bound_ns is what the rows prove, and this on top, which they do not prove: a
  // solver that computes in floating point (HiGHS) says that the relaxation over these cuts costs
  // so much in whole numbers. Nobody can check it from here.
  std::int64_t claimed_ns = 0;
  std::vector<OpId> claimed_cuts{};  // Ascending; empty if nothing is claimed.
};

struct Plan {
  std::string profile_sha256{};             // Of the profile it is made from.
  std::string solver{};                     // Its name in the registry.
  std::vector<std::string> solver_parts{};  // What of it ran, in order: "keep-all", "lookahead".
                                            // One that could not run says so: "milp: no HiGHS".
  std::int64_t seed = 0;                    //
  PlanStatus status{};                      //
  std::int64_t budget_bytes = 0;            // Device memory of the whole process.
  std::int64_t host_budget_bytes = 0;       // Pinned host memory, of pool and snapshot together;
                                            // 0: any.
  std::int64_t overhead_bytes = 0;  // Of those, what the arena cannot use: context, modules,
                                    // libraries, the instantiated graph.
  std::int64_t arena_bytes = 0;     // Height of the arena: the highest end of any request or
                                    // residence. arena_bytes + overhead_bytes <= budget_bytes.
  std::int64_t peak_bytes = 0;      // Most bytes live at once, each rounded up to 512;
                                    // <= arena_bytes.
  std::int64_t host_bytes = 0;      // Size of the pinned host pool; 0 if nothing moves.
  std::int64_t snapshot_bytes = 0;  // Size of the pinned snapshot; 0 if nothing is saved.
  std::int64_t duration_ns = 0;     // One iteration: all phases with their repetitions.
  std::int64_t keep_all_duration_ns = 0;  // The same with every op once.
  std::int64_t keep_all_peak_bytes = 0;   // Peak of the plan that recomputes and moves nothing.
  std::int64_t lower_bound_ns = 0;        // No plan of the certificate's class is faster.
  Certificate certificate{};              //
  std::vector<Placement> initial{};       // Residences before the first instruction, by ascending
                                     // buffer: persistent buffers that the loader fills. Others
                                     // start on the host.
  std::vector<Placement> host{};      // Host copies, by ascending buffer: every buffer outside a
                                      // shard that is offloaded, fetched, or starts on the host.
  std::vector<Shard> shards{};        //
  std::vector<Placement> snapshot{};  // The save, which runs between two iterations where it is
                                      // wanted: each persistent buffer that the program writes is
                                      // copied from the arena, or the host pool if it is there
                                      // then, to this place of the snapshot. By ascending buffer;
                                      // all of them, or none if nothing is saved.
  std::vector<PhasePlan> phases{};    // One for each phase of the profile.
  Context context{};                  //
};

const char* ToString(InstructionKind kind);
const char* ToString(PlanStatus status);
const char* ToString(BoundRow row);

/// How people call an instruction that moves something: "fetch of shard 3 (up_blocks.1)",
/// "offload of buffer 12 (conv_in.weight)".
std::string NameOf(const Profile& profile, const Plan& plan, const Instruction& move);

/// Checks what can be said of a plan without its profile: each instruction has the fields of its
/// kind and no others, offsets are multiples of 512, amounts and ids are in range.
/// @throws InputError whose `where` begins with `where` and goes on with a JSON pointer.
void Validate(const Plan& plan, const std::string& where = "plan");

/// Reads a plan; gunzips when the name ends in ".gz"; "-" is standard input. The result is
/// well-formed by itself; whether it fits a profile is CheckPlan's question.
/// @throws InputError naming file and JSON pointer.
Plan ReadPlan(const std::filesystem::path& path);

/// Writes to a temporary name, syncs and renames; gzips when the name ends in ".gz"; "-" is
/// standard output.
void WritePlan(const Plan& plan, const std::filesystem::path& path);

std::string ToJson(const Plan& plan);
Plan PlanFromJson(const std::string& text, const std::string& where);

/// Hash of everything but the context.
std::string PlanSha256(const Plan& plan);

}  // namespace stint
