// What benchmarks run on: the shipped profile, made-up blocks, and instances of a folder that the
// user names in the environment variable STINT_BENCH_INSTANCES.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "ir/effects.h"
#include "ir/profile.h"

namespace stint::bench {

/// A recorded training step of SD1.5.
std::filesystem::path ShippedProfilePath();
const Profile& ShippedProfile();
const std::vector<OpEffects>& ShippedEffects();

/// Files of `folder` in the user's folder whose names end in `suffix`, ascending; empty without
/// one.
std::vector<std::filesystem::path> UserInstances(const std::string& folder,
                                                 const std::string& suffix);

/// Bytes that leave `percent` of what activations of the shipped profile take if all is kept.
std::int64_t ShippedBudget(std::int64_t percent);

}  // namespace stint::bench
