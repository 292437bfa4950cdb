// Programs that other planners were measured on, as ordinary profiles: every solver, CheckPlan and
// the simulator work on them. They can be planned and simulated, not run: their ops are called
// "foreign::<name>" and take whole storages as arguments.
//
//     format             of                         one op            bytes and times
//     node-link JSON     Checkmate, MOCCASIN        a node            cost_ram, cost_cpu as ns;
//     out_cost
//                                                                     in units of 512 B, duration
//                                                                     as ns
//     log, JSON lines    DTR                        CALL, MUTATE      MEMORY, TIME
//     blocks of text     Kusumoto et al. (Chainer)  a function block  of its variables; Conv* 10
//     ns,
//                                                                     anything else 1 ns
//     "n edges peak"     Stint's cost graphs        an op             two lines of numbers
//     JSON: ops, sto     Stint's whole steps        an op             sto, cost
//
// Planners round each storage up to 512 B: that changes the instances by less than a millionth,
// except those whose sizes have no unit (out_cost), which are therefore multiplied by 512. Times
// are rounded to nanoseconds. Refuses to know: solvers, budgets.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "ir/profile.h"

namespace stint {

/// What a file does not say or what is to be changed about it.
struct ForeignOptions {
  // DTR logs: true makes each output of a call a storage of its own, as it was recorded; false
  // makes one storage an op, as in the published figures (Checkmate knows no others).
  bool has_separate_outputs = false;
  // Whole steps: scales forward and backward, and the updates, to take so long; 0: as in the file.
  std::int64_t step_duration_ns = 0;    // All ops together; more than the updates.
  std::int64_t update_duration_ns = 0;  // The updates; set both or none.
  // Whole steps: weights, moments and gradients take twice their bytes, as if bf16 were fp32.
  bool has_doubled_states = false;
  // The machine. Files know none.
  std::int64_t link_bytes_per_s = 0;  // Each way, also both at once; 0: no word on copies, and no
                                      // plan should make any.
  std::int64_t copy_latency_ns = 10'000;  // Of each copy, besides.
  std::int64_t overhead_bytes = 0;        // Device::overhead_bytes.
};

/// The cost models of docs/planning.md for whole steps: 44 GB/s each way, 52 ms with 4.5 ms of
/// updates and 0.85 GiB of overhead (SD1.5), 97 ms with 12 ms and 0.95 GiB (SDXL).
ForeignOptions Sd15StepOptions();
ForeignOptions SdxlStepOptions();

/// Reads a file of any of these formats (gunzips names in ".gz"; "-" is standard input) and tells
/// them apart by their content. Deterministic, O(n log n).
/// @throws InputError naming the file and the line or JSON pointer for what is no graph, is cut
/// off, has a cycle, or has sizes or times that are negative, not finite or beyond 2^60.
Profile ReadForeignGraph(const std::filesystem::path& path, const ForeignOptions& options = {});

/// The same for a text; `where` names it in errors.
Profile ForeignGraphFromText(const std::string& text, const std::string& where,
                             const ForeignOptions& options = {});

}  // namespace stint
