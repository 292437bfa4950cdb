// A fast schedule with copies of a tiny profile, by trying nearly everything: the judge of bounds
// for plans with copies. Bytes are counted while they are in use, a copy's from when it begins or
// until it ends; addresses are not looked at.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "ir/ids.h"
#include "ir/profile.h"

namespace stint {

/// One copy takes `copy_ns_per_block` for each 512 bytes, in either direction.
struct TinyLink {
  std::int64_t copy_ns_per_block = 0;
};

/// The device of a profile with such a link.
Device TinyDevice(const TinyLink& link);

/// The least duration found of a schedule that runs ops first in `order`, within `limit_bytes`, and
/// ends as it began; empty if there is none, or if the search would be too long. Looks at all
/// schedules that decide between ops and give memory back no earlier than needed.
std::optional<std::int64_t> FastestWithCopiesNs(const Profile& profile,
                                                const std::vector<OpId>& order,
                                                std::int64_t limit_bytes, const TinyLink& link);

}  // namespace stint
