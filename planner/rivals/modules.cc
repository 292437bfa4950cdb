#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "planner/rivals/rival_run.h"
#include "planner/rivals/rivals.h"

namespace stint {
namespace {

// How many different counts of checkpointed modules are tried at each depth.
constexpr std::int32_t kCountSteps = 16;

std::int32_t DepthOf(std::string_view path) {
  return path.empty() ? 0 : static_cast<std::int32_t>(std::ranges::count(path, '.')) + 1;
}

/// The first `depth` names of a path; the path has so many.
std::string_view PrefixOf(std::string_view path, std::int32_t depth) {
  std::size_t end = 0;
  for (std::int32_t i = 0; i < depth; ++i) end = path.find('.', i == 0 ? 0 : end + 1);
  return path.substr(0, end);
}

/// Modules at a depth as the forward pass runs through them.
struct Division {
  Blocks blocks{};
  std::int32_t block_count = 0;
};

/// One block for each run of neighbours in the same module at `depth`. Ops of no module so deep
/// belong to none: their parent's own code is not checkpointed.
Division DivideAt(const Profile& profile, std::int32_t border, std::int32_t depth) {
  Division division{.blocks = Blocks(static_cast<std::size_t>(border), kNoBlock)};
  std::string_view open{};
  for (std::size_t op = 0; op < division.blocks.size(); ++op) {
    const std::string_view path = profile.ops[op].module;
    const std::string_view prefix =
        DepthOf(path) < depth ? std::string_view{} : PrefixOf(path, depth);
    if (!prefix.empty() && prefix != open) ++division.block_count;
    if (!prefix.empty()) division.blocks[op] = division.block_count - 1;
    open = prefix;
  }
  return division;
}

class ModulesSolver : public Solver {
 public:
  std::string Name() const override { return "modules"; }

  SolveResult Solve(const Problem& problem, const SolveOptions& options) const override {
    RivalRun run(problem, options, "checkpointed modules");
    if (run.IsOverWhenFlat()) return run.Take();
    std::int32_t depth_limit = 0;
    for (std::int32_t op = 0; op < run.border(); ++op) {
      depth_limit =
          std::max(depth_limit, DepthOf(problem.profile.ops[static_cast<std::size_t>(op)].module));
    }
    if (depth_limit == 0) run.AddPart("the profile names no modules");
    for (std::int32_t depth = 1; depth <= depth_limit; ++depth) {
      const Division division = DivideAt(problem.profile, run.border(), depth);
      const std::int32_t steps = std::min(division.block_count, kCountSteps);
      for (std::int32_t step = steps; step > 0; --step) {
        if (run.IsOver()) return run.Take();
        // The first modules are the ones whose results wait longest.
        const std::int32_t count = division.block_count * step / steps;
        Blocks blocks = division.blocks;
        std::ranges::replace_if(
            blocks, [&](std::int32_t block) { return block >= count; }, kNoBlock);
        run.OfferKept(KeepAcross(run.flat(), run.border(), blocks));
      }
    }
    return run.Take();
  }
};

}  // namespace

std::unique_ptr<Solver> MakeModulesSolver() { return std::make_unique<ModulesSolver>(); }

}  // namespace stint
