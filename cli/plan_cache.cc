#include "cli/plan_cache.h"

#include <fmt/format.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <system_error>

#include "cli/commands.h"
#include "ir/check_certificate.h"
#include "ir/check_plan.h"
#include "ir/errors.h"
#include "ir/file.h"

namespace stint {
namespace {

namespace fs = std::filesystem;

void MakeFolders(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw InputError(folder.string(), fmt::format("cannot be made ({})", error.message()));
}

}  // namespace

std::optional<fs::path> DefaultCacheFolder() {
  // Of the environment only what is an absolute path counts, as the XDG specification says.
  for (const auto& [variable, inner] : {std::pair{"XDG_CACHE_HOME", ""}, {"HOME", ".cache"}}) {
    const char* const value = std::getenv(variable);
    if (value != nullptr && fs::path(value).is_absolute()) return fs::path(value) / inner / "stint";
  }
  return std::nullopt;
}

fs::path PlanCache::ProfilePath(const Workload& workload, const Device& device,
                                bool is_deterministic) const {
  const nlohmann::ordered_json key = {
      {"version", VersionText()},
      {"device", {ToString(device.kind), device.name, device.memory_bytes, device.thread_count}},
      {"is_deterministic", is_deterministic},
      {"config", workload.config_json},
      {"task", workload.task},
      {"dtype", workload.dtype},
      {"attention", workload.attention},
      {"prediction", workload.prediction},
      {"layout", workload.layout},
      {"batch", workload.batch_count},
      {"size", {workload.height_px, workload.width_px}},
      {"micro_steps", workload.micro_step_count},
      {"lora_rank", workload.lora_rank},
      {"update_group_bytes", workload.update_group_bytes},
      {"clip_norm", workload.clip_norm},
      {"autocast", workload.autocast},
      {"rounding", workload.rounding},
      {"has_ema", workload.has_ema}};
  return *folder_ / "profiles" / (Sha256(key.dump()) + ".json.gz");
}

fs::path PlanCache::PlanPath(const Profile& profile, const std::string& request) const {
  return *folder_ / "plans" /
         (Sha256(VersionText() + "\n" + ProfileSha256(profile) + "\n" + request) + ".json.gz");
}

std::optional<Profile> PlanCache::FindProfile(const Workload& workload, const Device& device,
                                              bool is_deterministic) const {
  if (!folder_) return std::nullopt;
  const fs::path path = ProfilePath(workload, device, is_deterministic);
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return std::nullopt;
  try {
    Profile profile = ReadProfile(path);
    // A file under a name that is not its own is damaged, too.
    const fs::path own = ProfilePath(profile.workload, device, profile.is_deterministic);
    if (own != path || profile.device.kind != device.kind || profile.device.name != device.name) {
      return std::nullopt;
    }
    return profile;
  } catch (const InputError&) {
    return std::nullopt;
  }
}

std::optional<Plan> PlanCache::FindPlan(const Profile& profile, const std::string& request) const {
  if (!folder_) return std::nullopt;
  const fs::path path = PlanPath(profile, request);
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return std::nullopt;
  try {
    Plan plan = ReadPlan(path);
    if (plan.profile_sha256 != ProfileSha256(profile)) return std::nullopt;
    CheckPlan(profile, plan, path.string());
    CheckCertificate(profile, plan, path.string());
    return plan;
  } catch (const InputError&) {
    return std::nullopt;
  }
}

void PlanCache::Keep(const Profile& profile, const Device& device) const {
  if (!folder_) return;
  const fs::path path = ProfilePath(profile.workload, device, profile.is_deterministic);
  MakeFolders(path.parent_path());
  WriteProfile(profile, path);
}

void PlanCache::Keep(const Profile& profile, const std::string& request, const Plan& plan) const {
  if (!folder_) return;
  const fs::path path = PlanPath(profile, request);
  MakeFolders(path.parent_path());
  WritePlan(plan, path);
}

}  // namespace stint
