// Says whether a plan is right, sharing no code with any solver. A plan that passes can be
// executed: every value is where it is read, no two things overlap in the arena, the budget holds.
//
// For each iteration (all phases in order; a repeated body is checked as its first and as a later
// repetition, which begin alike):
//   - every op of a phase runs in its body; one that writes in place or draws random numbers
//   exactly
//     once for each repetition, in a way that gives each value the version the profile says;
//   - a compute finds every value it reads resident (and its copy over) in the right version;
//   - requests and residences that are live together do not overlap, lie on multiples of 512 and
//   end
//     within arena_bytes; a discarded output dies with its op;
//   - a drop or a fetch finds the right version on the host; host places do not overlap and end
//   within
//     host_bytes;
//   - what a save copies is all persistent buffers that the program writes, to places that do not
//   overlap and end within snapshot_bytes; pool and snapshot fit the host budget;
//   - nothing is freed that is not resident; values that the program still needs are not lost;
//   - a repeated body ends as it began (residences, host versions); the iteration ends with every
//     buffer of `initial` where it began, in its last version, and with every output resident;
//   - the numbers in the plan's head (peak_bytes, arena_bytes, duration_ns, host_bytes) are those
//   of
//     its instructions, and arena_bytes + overhead_bytes <= budget_bytes.
#pragma once

#include "ir/plan.h"
#include "ir/profile.h"

namespace stint {

/// Returns if `plan` is a right schedule of `profile`. O(n log n) in instructions and requests.
/// @throws InputError whose `where` begins with `where` ("plan.json") and goes on with the JSON
/// pointer of the instruction: "plan.json:/phases/0/body/17: reads buffer 12 (conv_in.weight),
/// which is not resident".
void CheckPlan(const Profile& profile, const Plan& plan, const std::string& where = "plan");

}  // namespace stint
