#include "cli/artifacts.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>

#include "cli/commands.h"
#include "ir/check_certificate.h"
#include "ir/check_plan.h"
#include "ir/errors.h"
#include "ir/units.h"

namespace stint {

CheckedPlan ReadCheckedPlan(const std::filesystem::path& profile_path,
                            const std::filesystem::path& plan_path) {
  CheckOneStandardInput({profile_path, plan_path});
  CheckedPlan result = {.profile = ReadProfile(profile_path), .plan = ReadPlan(plan_path)};
  if (result.plan.profile_sha256 != ProfileSha256(result.profile)) {
    throw InputError(plan_path.string() + ":/made_from/profile_sha256",
                     "is of another profile than " + profile_path.string());
  }
  CheckPlan(result.profile, result.plan, plan_path.string());
  CheckCertificate(result.profile, result.plan, plan_path.string());
  return result;
}

void CheckWritable(const std::filesystem::path& path, const std::string& flag) {
  if (path == "-") return;
  if (std::filesystem::is_directory(path)) {
    throw InputError(flag, path.string() + " is a folder");
  }
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  if (!std::filesystem::is_directory(folder)) {
    throw InputError(flag, "there is no folder " + folder.string());
  }
  if (access(folder.c_str(), W_OK) != 0) {
    throw InputError(flag, "cannot write into " + folder.string());
  }
}

void CheckOneStandardInput(const std::vector<std::filesystem::path>& paths) {
  if (std::ranges::count(paths, "-") > 1) {
    throw InputError("-", "only one file can be read from standard input");
  }
}

Context MakeContext(std::chrono::steady_clock::time_point begin) {
  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  std::array<char, 32> date{};
  std::strftime(date.data(), date.size(), "%Y-%m-%dT%H:%M:%SZ", &utc);
  const auto wall_time = std::chrono::steady_clock::now() - begin;
  return {.date = date.data(),
          .host = host.data(),
          .version = VersionText(),
          .wall_time_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(wall_time).count()};
}

std::string ExactBytes(std::int64_t size_bytes) {
  return fmt::format("{} ({} B)", FormatBytes(size_bytes), size_bytes);
}

}  // namespace stint
