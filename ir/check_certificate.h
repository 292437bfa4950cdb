// What a plan's lower bound is worth, decided from the profile and the certificate alone; shares no
// code with the planner that found it.
//
// A certificate names ops, the cuts, and multipliers of rows that every plan of its class
// satisfies. At cut c, while op c runs for the first time, some buffers are resident; in the
// segment after it, up to the first run of the next cut's op, some ops run again:
//
//     S(u, c)   1 if buffer u, created before op c, is resident then          bytes m(u)
//     R(j, c)   1 if op j, recorded before op c, runs again in the segment    time t(j)
//     Z(j, c)   1 if it runs again anywhere after the cut
//
//     memory(c)              sum of m(u) S(u, c) <= budget - what op c takes and reads, and what is
//                            always resident
//     need(c, u)             S(u, c) + R(creator of u, c) >= 1         an op of the segment reads u
//     closure(c, j, v)       S(v, c) + R(creator of v, c) >= R(j, c)                    j reads v
//     carry(c, u)            S(u, c - 1) + R(creator of u, c - 1) >= S(u, c)
//     suffix_need(c, u)      S(u, c) + Z(creator of u, c) >= 1       any op after the cut reads u
//     suffix_closure(c,j,v)  S(v, c) + Z(creator of v, c) >= Z(j, c)
//     suffix_sum(c, j)       sum of R(j, d) over the cuts d >= c >= Z(j, c)
//
// R and Z are 0 where no run after the cut can be right: the op draws random numbers, writes in
// place, or read a value that is overwritten by then and that no op makes again. They bring back u
// as it was created: where u was written in place before the cut, its need rows have S alone, and
// so have closures of ops that read it as written. What op c reads is resident at its cut, and
// counted in what it takes. Ops that may come early (they create nothing) are no cuts and need
// nothing; each run of an op is counted once, also in a body that repeats. So the rows are weaker
// than the truth, never stronger.
//
// Linear programming duality: for any multipliers y >= 0 no plan is faster than
//
//     sum of durations + sum of y * right-hand sides + sum over columns of min(0, reduced cost)
//
// evaluated here in integers. Source of the rows: Checkmate's (arXiv 1910.02653) with its stages
// merged between few cuts; the suffix rows are what keeps the linear relaxation as strong as each
// of its cuts alone.
#pragma once

#include <cstdint>
#include <string>

#include "ir/plan.h"
#include "ir/profile.h"

namespace stint {

/// The least time, in ns, of any plan of the certificate's class and within its limit.
/// O(rows + arguments + cuts * ops).
/// @throws InputError whose `where` begins with `where` ("plan.json:/certificate") if a row is none
/// of the relaxation's, or an amount is out of range.
std::int64_t ProvenDurationNs(const Profile& profile, const Certificate& certificate,
                              const std::string& where);

/// Checks that the plan's lower bound is the one that its certificate proves, up to what it says
/// that a floating-point solver claims beyond, and that the plan is within the certificate's limit.
/// @throws InputError naming the place in the plan.
void CheckCertificate(const Profile& profile, const Plan& plan, const std::string& where = "plan");

}  // namespace stint
