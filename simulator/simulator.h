// Replays a plan on paper. Shares no arithmetic with planner/, so that neither can hide the
// other's bugs; O(instructions + requests * copies under way), no device memory.
#pragma once

#include "ir/plan.h"
#include "ir/profile.h"
#include "ir/report.h"

namespace stint {

/// Runs `plan` over `profile`, one instruction after another on one compute stream, copies on two
/// streams of their own (see timeline.h):
///
///     instruction          live during it           after it
///     compute A -> a       a + requests of A        a
///     compute B: a -> b    a + b + requests of B    a, b
///     free a               a + b                    b
///
/// Bytes follow the order of instructions: an offload gives its bytes back when it is issued, and
/// whoever reuses the place waits for the copy. A repeated body is walked once, since each
/// repetition begins as the one before ended; the streams join at the end of a prologue, of each
/// repetition and of an epilogue. Start times count from the start of the phase. The report's
/// context stays empty. Deterministic.
/// @throws InputError if an instruction names what the profile lacks, reads, frees or moves a
/// buffer that is not resident at that point, or begins a second residence of one that is.
Report Simulate(const Profile& profile, const Plan& plan);

}  // namespace stint
