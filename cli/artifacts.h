// What subcommands share about the files they read and write.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "ir/plan.h"
#include "ir/profile.h"

namespace stint {

/// A profile and a plan of it that passed CheckPlan and CheckCertificate.
struct CheckedPlan {
  Profile profile{};
  Plan plan{};
};

/// Reads both and checks that they go together.
/// @throws InputError naming file and JSON pointer.
CheckedPlan ReadCheckedPlan(const std::filesystem::path& profile_path,
                            const std::filesystem::path& plan_path);

/// Refuses a place where no file can be made, before any work is spent on it.
/// @throws InputError naming `flag`.
void CheckWritable(const std::filesystem::path& path, const std::string& flag);

/// @throws InputError if more than one of `paths` is "-": there is one standard input.
void CheckOneStandardInput(const std::vector<std::filesystem::path>& paths);

/// Date, host and version; `begin` is when the work began.
Context MakeContext(std::chrono::steady_clock::time_point begin);

/// "2.83 GiB (3036676096 B)": rounded for people, exact for the next command.
std::string ExactBytes(std::int64_t size_bytes);

}  // namespace stint
