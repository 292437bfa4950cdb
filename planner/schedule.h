// What a schedule takes, counted instruction by instruction, and the few ways to write one down.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/plan.h"
#include "planner/program.h"
#include "planner/solver.h"

namespace stint {

Instruction ComputeInstruction(OpId op, std::vector<BufferId> discards);
Instruction FreeInstruction(BufferId buffer);

struct ScheduleTotals {
  std::int64_t peak_bytes = 0;   // Persistent buffers, residences and requests, rounded up to 512.
  std::int64_t duration_ns = 0;  // One iteration, repetitions counted.
};

/// Adds up a schedule that only computes and frees. `program` is in the recorded order.
/// O(instructions).
ScheduleTotals Measure(const Profile& profile, const Program& program, const Schedule& schedule);

/// Every op once, in the order of `program`; every buffer ends right after its last use, or in the
/// epilogue where the body still needs it for its next repetition; an output that nobody uses is
/// discarded.
Schedule KeepAllSchedule(const Profile& profile, const Program& program);

}  // namespace stint
