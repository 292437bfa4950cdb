// What each op does to values, derived from a profile once and used by every verb: which versions
// it reads, which buffers it creates, which it writes.
//
// A value is a buffer and a version. A persistent buffer starts at version 0, any other has no
// value until an op creates it as version 0. Each write in place adds one:
//
//     op        does                    value of g afterwards
//     conv_bwd  creates g               g@0
//     add_      reads g@0, writes g     g@1
//     adamw_    reads g@1, writes w, m  g@1
#pragma once

#include <cstdint>
#include <vector>

#include "ir/ids.h"
#include "ir/profile.h"

namespace stint {

/// One version of a buffer's content, counted in program order.
struct Value {
  BufferId buffer{};
  std::int32_t version = 0;

  auto operator<=>(const Value&) const = default;
};

/// What one op does to values.
struct OpEffects {
  std::vector<Value> reads{};   // By ascending buffer; the values it needs, those it overwrites
                                // too. Library workspaces and host buffers are left out.
  std::vector<Value> writes{};  // By ascending buffer; the versions it starts in place.
  std::vector<BufferId>
      creates{};  // New buffers (version 0), in the order of its requests, then those
                  // without a request (empty tensors); host buffers are left out.
  bool is_recomputable = false;  // Writes nothing in place and draws no random numbers.
};

/// Effects of every op, in op order. O(total arguments).
std::vector<OpEffects> DeriveEffects(const Profile& profile);

/// The value each buffer holds after the ops of `phase`, run once after all earlier phases; -1
/// where it holds none yet. The next repetition of the phase begins with these, under the versions
/// that the buffers had when the phase began.
std::vector<std::int32_t> VersionsAfter(const Profile& profile, PhaseId phase);

}  // namespace stint
