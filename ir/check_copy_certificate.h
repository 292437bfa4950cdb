// What a lower bound for plans with copies is worth: certificates of method "windows", decided from
// the profile and the certificate alone; shares no code with the planner that found it.
//
// The cuts are moments: when the ops they name begin for the first time. Window w reaches from cut
// w to the next, the last one round to cut 0, which is the first op: a steady iteration leaves
// persistent buffers as it found them.
//
//     cut 0            cut 1         cut 2                  (cut 0)
//     |--- window 0 ---|-- window 1 --|------ window 2 ------|
//
//     T(w)     how long it takes
//     S(u, w)  share of buffer u that is in the arena at cut w          bytes m(u)
//     H(u, w)  share of its current version that the host holds then
//     I(u, w)  share of it copied to the device in the window           time in(u)
//     D(u, w)  share copied to the host                                 time out(u)
//     R(j, w)  1 if op j, first run before the cut, runs again in it    time t(j)
//     Z(j, w)  1 if it runs again anywhere after the cut
//
// Shares are in [0, 1]. A copy that crosses a cut counts in each window with its part; what it has
// brought by then is there, what it still takes away, too. With r(u) for R of u's creator where a
// run can bring u back (u is not persistent and was not written in place before the cut), and
// A(u, w) = S(u, w) + I(u, w) + r(u, w):
//
//     compute(w)          T(w) >= first runs in the window + sum of t(j) R(j, w)
//     suffix_compute(w)   the same summed over windows from w; with updates that may come there
//     to_device(w)        T(w) >= sum of in(u) I(u, w) + z * sum of out(u) D(u, w)
//     to_host(w)          T(w) >= sum of out(u) D(u, w) + z * sum of in(u) I(u, w)
//     memory(w)           sum of m(u) S(u, w) <= limit - requests of the cut's op
//     host_memory(w)      sum of m(u) H(u, w) <= host limit
//     need(w, u)          A(u, w) >= 1                          an op first run in it uses u
//     closure(w, j, u)    A(u, w) >= R(j, w)                    j reads u
//     carry(w, u)         A(u, w) >= S(u, w + 1)
//     write(w, u)         A(u, w) >= D(u, w)
//     fetch(w, u)         H(u, w) + D(u, w) >= I(u, w)
//     origin(w, j, u)     S(u, w) + H(u, w) + r(u, w) >= R(j, w)    j reads u
//     host(w, u)          H(u, w) + D(u, w) >= H(u, w + 1)      no H(u, w) if u is written in it
//     somewhere(w, u)     S(u, w) + H(u, w) >= 1                u is persistent
//                         S(u, w) + H(u, w) + r(u, w) >= 1      an op first run in it uses u
//     suffix_need(w, u), suffix_closure(w, j, u), suffix_sum(w, j)
//                         as need, closure, and what sums up R, with Z and all I(u, t) for the
//                         windows t >= w in which u can still help a first run (a plan loses
//                         nothing without other copies)
//     suffix_somewhere(w, u)      S(u, w) + H(u, w) + Z(r, w) >= 1         needed from w on
//     suffix_origin(w, j, u)      S(u, w) + H(u, w) + Z(r, w) >= Z(j, w)   j reads u; with r as in
//                                 r(u): its creator's Z where that can bring u back
//
// What the cut's op uses has S = 1. Rows about u are there if u was made before the cut; one
// made in the window is free in it. Persistent buffers with the same uses, by window, are one
// buffer, named by the first of them. Updates that may move are in no row that says when; need and
// host rows then hold from the window in which they can first run to the end. Copies cost what
// ir/copy_floor.h says. Every plan of the class satisfies all rows; for multipliers y >= 0 none is
// faster than the sum of y * right-hand sides + sum over columns of min(0, reduced cost), evaluated
// here in integers, as long as no T has multipliers above its own cost.
#pragma once

#include <cstdint>
#include <string>

#include "ir/plan.h"
#include "ir/profile.h"

namespace stint {

/// The least time, in ns, of any plan of the certificate's class within its limits; never less than
/// the sum of durations. O(rows + windows * (ops + buffers)).
/// @throws InputError whose `where` begins with `where` if a row is none of the relaxation's, an
/// amount is out of range, or the profile is none that the class is defined for: a phase repeats,
/// or no copies were measured.
std::int64_t ProvenDurationWithCopiesNs(const Profile& profile, const Certificate& certificate,
                                        const std::string& where);

/// Checks that `plan` is within the limits of its certificate of method "windows", and runs ops in
/// the order of its class.
/// @throws InputError naming the place in the plan.
void CheckWithinCopyClass(const Profile& profile, const Plan& plan, const std::string& where);

/// Whether this is a class of plans with copies.
bool IsCopyClass(const std::string& plan_class);

}  // namespace stint
