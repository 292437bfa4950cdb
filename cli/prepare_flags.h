// Flags of every command that profiles, plans and runs in one go: the device, its budget, and where
// profiles and plans are kept. No LibTorch.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "cli/plan_cache.h"

namespace stint {

/// As the flags say it.
struct PrepareFlags {
  std::string device = "cpu";
  bool is_deterministic = false;
  std::string budget{};  // Empty: what is free on a GPU, what it takes on a CPU.
  double plan_time_s = 60;
  std::string cache{};  // Empty: DefaultCacheFolder.
  bool has_no_cache = false;
};

/// Adds the flags, which fill `flags`; it must outlive `command`.
void AddPrepareFlags(CLI::App& command, PrepareFlags& flags);

/// @throws InputError naming `--budget` if it is no size, or zero.
std::optional<std::int64_t> BudgetBytesOf(const PrepareFlags& flags);

PlanCache CacheOf(const PrepareFlags& flags);

}  // namespace stint
