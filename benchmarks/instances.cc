#include "benchmarks/instances.h"

#include <algorithm>
#include <cstdlib>

#include "planner/program.h"
#include "planner/schedule.h"

namespace stint::bench {

std::filesystem::path ShippedProfilePath() {
  return std::filesystem::path(STINT_SOURCE_DIR) / "profiles/h100_sd15_train_bf16_b4_512.json.gz";
}

const Profile& ShippedProfile() {
  static const Profile profile = ReadProfile(ShippedProfilePath());
  return profile;
}

const std::vector<OpEffects>& ShippedEffects() {
  static const std::vector<OpEffects> effects = DeriveEffects(ShippedProfile());
  return effects;
}

std::vector<std::filesystem::path> UserInstances(const std::string& folder,
                                                 const std::string& suffix) {
  std::vector<std::filesystem::path> paths{};
  const char* const root = std::getenv("STINT_BENCH_INSTANCES");
  if (root == nullptr || !std::filesystem::is_directory(std::filesystem::path(root) / folder)) {
    return paths;
  }
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(root) / folder)) {
    if (entry.path().string().ends_with(suffix)) {
      paths.push_back(entry.path());
    }
  }
  std::ranges::sort(paths);
  return paths;
}

std::int64_t ShippedBudget(std::int64_t percent) {
  const Profile& profile = ShippedProfile();
  const Program program = MakeProgram(profile, ShippedEffects());
  const std::int64_t peak_bytes =
      Measure(profile, program, KeepAllSchedule(profile, program)).peak_bytes;
  return program.persistent_bytes + (peak_bytes - program.persistent_bytes) / 100 * percent;
}

}  // namespace stint::bench
