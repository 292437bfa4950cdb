#include "cli/prepare_flags.h"

#include <filesystem>

#include "ir/errors.h"
#include "ir/units.h"

namespace stint {

void AddPrepareFlags(CLI::App& command, PrepareFlags& flags) {
  command.add_option("--device", flags.device, "cpu, cuda or cuda:0")
      ->type_name("NAME")
      ->capture_default_str();
  command.add_flag("--deterministic", flags.is_deterministic,
                   "Kernels that give the same bits in each run on a GPU");
  command
      .add_option("--budget", flags.budget,
                  "Device memory of the whole process (default: what is free on a GPU, what it "
                  "takes on a CPU)")
      ->type_name("SIZE");
  command.add_option("--plan-time", flags.plan_time_s, "Wall clock for a plan that is new")
      ->type_name("SECONDS")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command
      .add_option("--cache", flags.cache,
                  "Where profiles and plans are kept (default: $XDG_CACHE_HOME/stint or "
                  "~/.cache/stint)")
      ->type_name("FOLDER");
  command.add_flag("--no-cache", flags.has_no_cache, "Look for none and keep none");
}

std::optional<std::int64_t> BudgetBytesOf(const PrepareFlags& flags) {
  if (flags.budget.empty()) return std::nullopt;
  const std::int64_t budget_bytes = ParseBytes(flags.budget, "--budget");
  if (budget_bytes == 0) throw InputError("--budget", "is zero");
  return budget_bytes;
}

PlanCache CacheOf(const PrepareFlags& flags) {
  if (flags.has_no_cache) return PlanCache(std::nullopt);
  return PlanCache(flags.cache.empty() ? DefaultCacheFolder() : std::filesystem::path(flags.cache));
}

}  // namespace stint
