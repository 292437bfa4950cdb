// The order in which the plans of a class run each op for the first time, derived from the profile
// for those who check plans and proofs; shares no code with the planner.
//
//     recorded           F0 F1 L G1 G0 U1 U0
//     updates at once    F0 F1 L G1 U1 G0 U0     U1 reads g1, overwrites w1, which F1 and G1 read
//
// An update writes persistent buffers and else only what nobody uses later, makes nothing and draws
// no random numbers. At once means right after the last op of its phase that it must follow: those
// that make or write what it reads, and those that use what it overwrites.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/effects.h"
#include "ir/profile.h"

namespace stint {

enum class UpdatePlace : std::uint8_t { kRecorded, kAtOnce };

struct FirstRuns {
  std::vector<OpId> order{};             //
  std::vector<std::int32_t> place_of{};  // By op: its index in `order`.
  std::vector<bool> is_update{};         // By op.
};

/// Updates in phases that repeat stay where they are. O(arguments + n log n).
FirstRuns FirstRunsOf(const Profile& profile, const std::vector<OpEffects>& effects,
                      UpdatePlace updates);

}  // namespace stint
