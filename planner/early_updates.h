// Where the optimizer's updates may run: each as soon as its gradient is final and nobody needs the
// old weights, instead of all at the end, so that a gradient dies right after it is born.
//
//     recorded    F0 F1 L G1 G0 U1 U0        U1: reads g1, overwrites w1, which F1 and G1 read
//     visited     F0 F1 L G1 U1 G0 U0        g1 lives from G1 to U1 either way
#pragma once

#include <vector>

#include "ir/effects.h"
#include "ir/profile.h"

namespace stint {

/// All ops of `profile`, as they were recorded.
std::vector<OpId> RecordedOrder(const Profile& profile);

/// The recorded order, but with each update right after the last op of its phase that it must
/// follow: those that make the values it reads, and those that use the values it overwrites. An
/// update makes nothing, writes persistent buffers and else only what nobody uses later (a fused
/// AdamW writes its gradient, too), draws no random numbers, and is in a phase that runs once. Any
/// op finds the same versions in both orders. O(arguments + n log n).
std::vector<OpId> EarlyUpdateOrder(const Profile& profile, const std::vector<OpEffects>& effects);

}  // namespace stint
