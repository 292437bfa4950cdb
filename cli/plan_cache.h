// Profiles and plans that were made before, so that the same work starts at once the second time:
// files of a folder, named by the hash of what they were made for.
//
//     <folder>/profiles/<hash of workload, device and version>.json.gz
//     <folder>/plans/<hash of profile and budget>.json.gz
//
// What is found is checked as if it came from anywhere; what is damaged counts as absent.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "ir/device.h"
#include "ir/plan.h"
#include "ir/profile.h"

namespace stint {

class PlanCache {
 public:
  /// Nothing: there is no cache; nothing is found and nothing kept.
  explicit PlanCache(std::optional<std::filesystem::path> folder) : folder_(std::move(folder)) {}

  /// Of this workload, on this device, by this version of Stint and LibTorch.
  std::optional<Profile> FindProfile(const Workload& workload, const Device& device,
                                     bool is_deterministic) const;
  /// A plan of `profile` for these words, such as a budget; it passed CheckPlan.
  std::optional<Plan> FindPlan(const Profile& profile, const std::string& request) const;

  /// Keep for later; `device` as for FindProfile. Written whole or not at all, each a file of its
  /// own, so several processes may share the folder.
  /// @throws InputError naming the file that cannot be written.
  void Keep(const Profile& profile, const Device& device) const;
  void Keep(const Profile& profile, const std::string& request, const Plan& plan) const;

 private:
  std::filesystem::path ProfilePath(const Workload& workload, const Device& device,
                                    bool is_deterministic) const;
  std::filesystem::path PlanPath(const Profile& profile, const std::string& request) const;

  std::optional<std::filesystem::path> folder_;
};

/// $XDG_CACHE_HOME/stint, else $HOME/.cache/stint; nothing where neither is set.
std::optional<std::filesystem::path> DefaultCacheFolder();

}  // namespace stint
