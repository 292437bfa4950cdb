// The part of CheckPlan that needs no time: does the plan belong to the profile, and are shards and
// host places as plan.h says.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ir/plan.h"
#include "ir/profile.h"

namespace stint {

/// What a plan says once for all about each buffer; lists by BufferId.
struct PlanPlaces {
  std::vector<bool> has_host_place{};              // In `host` or in a shard.
  std::vector<std::optional<ShardId>> shard_of{};  // The shard it is a member of.
};

/// @throws InputError as CheckPlan does, for a plan of another profile, shards and host places.
PlanPlaces CheckPlaces(const Profile& profile, const Plan& plan, const std::string& where);

}  // namespace stint
