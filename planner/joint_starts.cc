// Which values plans begin with dropping: all but those that cross narrow places.
//
//     bytes that later ops of the forward pass read
//       |  .-.    .-. .-.   .--.
//       |_/   \__/   V   \_/    \__          between blocks only the residual stream and skips
//       cross
//       +------x-----x----x-----x--> steps
#include <algorithm>
#include <cstdint>
#include <limits>
#include <set>
#include <vector>

#include "planner/joint_search.h"

namespace stint {
namespace {

// Cuts of the forward pass, coarse to fine.
constexpr std::int64_t kCutCounts[] = {8, 16, 24, 32, 48, 64, 96, 128};
// Values that take no longer to make than to write so often at this rate are cheap.
constexpr double kCheapNsPerByte[] = {1.0 / 500, 1.0 / 150};
// What ops make that a relaxation runs again by more than this share is dropped.
constexpr double kHalf = 0.5;

std::size_t At(std::int32_t index) { return static_cast<std::size_t>(index); }

/// By step before the turn: units that are made by then and read later, but before the turn.
std::vector<std::int64_t> UnitsCrossing(const PagedProgram& program) {
  std::vector<std::int64_t> units(At(program.turn) + 1, 0);
  for (const JointItem& item : program.items) {
    if (item.is_shard || item.creator >= program.turn) {
      continue;
    }
    std::int32_t last = item.creator;
    for (const std::int32_t use : item.uses) {
      last = use < program.turn ? use : last;
    }
    units[At(item.creator)] += item.units;
    units[At(last)] -= item.units;
  }
  for (std::size_t step = 1; step < units.size(); ++step) {
    units[step] += units[step - 1];
  }
  return units;
}

/// The narrowest step of each of `count` stretches of the forward pass that take equally long.
std::vector<std::int32_t> NarrowSteps(const PagedProgram& program,
                                      const std::vector<std::int64_t>& units, std::int64_t count) {
  std::vector<std::int32_t> steps(static_cast<std::size_t>(count), kNoOp);
  const std::int64_t forward_ns = std::max<std::int64_t>(1, program.begin_ns[At(program.turn)]);
  for (std::int32_t step = 0; step < program.turn; ++step) {
    const std::int64_t stretch =
        std::min(count - 1, program.begin_ns[At(step)] * count / forward_ns);
    std::int32_t& narrowest = steps[static_cast<std::size_t>(stretch)];
    if (narrowest == kNoOp || units[At(step)] <= units[At(narrowest)]) {
      narrowest = step;
    }
  }
  std::erase(steps, kNoOp);
  return steps;
}

bool IsReadAcross(const PagedProgram& program, const JointItem& item, std::int32_t step) {
  return std::any_of(item.uses.begin(), item.uses.end(), [&](std::int32_t use) {
    return item.creator <= step && use > step && use < program.turn;
  });
}

std::vector<std::uint8_t> DropsBetween(const PagedProgram& program,
                                       const std::vector<std::int32_t>& steps) {
  std::vector<std::uint8_t> drops(program.items.size(), 0);
  for (std::size_t i = 0; i < program.items.size(); ++i) {
    const JointItem& item = program.items[i];
    drops[i] =
        CrossesTurn(program, item) &&
                std::none_of(steps.begin(), steps.end(),
                             [&](std::int32_t step) { return IsReadAcross(program, item, step); })
            ? 1
            : 0;
  }
  return drops;
}

std::vector<std::uint8_t> CheapDrops(const PagedProgram& program, double ns_per_byte) {
  std::vector<std::uint8_t> drops(program.items.size(), 0);
  for (std::size_t i = 0; i < program.items.size(); ++i) {
    const JointItem& item = program.items[i];
    if (CrossesTurn(program, item)) {
      const double size_bytes = 512.0 * item.units;
      const auto made_ns = static_cast<double>(program.ops[At(item.creator)].duration_ns);
      drops[i] = made_ns <= ns_per_byte * size_bytes ? 1 : 0;
    }
  }
  return drops;
}

}  // namespace

std::vector<std::vector<std::uint8_t>> StartingDrops(const PagedProgram& program) {
  std::vector<std::vector<std::uint8_t>> starts{};
  starts.emplace_back(program.items.size(), 0);
  const std::vector<std::int64_t> units = UnitsCrossing(program);
  for (const std::int64_t count : kCutCounts) {
    starts.push_back(DropsBetween(program, NarrowSteps(program, units, count)));
  }
  for (const double ns_per_byte : kCheapNsPerByte) {
    starts.push_back(CheapDrops(program, ns_per_byte));
  }
  return starts;
}

std::vector<std::uint8_t> DropsOfGuide(const PagedProgram& program, const JointGuide& guide) {
  std::vector<std::uint8_t> drops(program.items.size(), 0);
  const auto is_again = [&](OpId op) {
    const auto again = std::ranges::lower_bound(guide.recompute, op, {}, &JointRecompute::op);
    return again != guide.recompute.end() && again->op == op && again->share > kHalf;
  };
  for (std::size_t i = 0; i < program.items.size(); ++i) {
    const JointItem& item = program.items[i];
    drops[i] = CrossesTurn(program, item) && is_again(program.ops[At(item.creator)].id) ? 1 : 0;
  }
  return drops;
}

std::vector<std::uint8_t> DropsOfSchedule(const PagedProgram& program,
                                          const std::vector<OpEffects>& effects,
                                          const Schedule& schedule) {
  std::set<BufferId> live{};
  for (const Instruction& instruction : schedule.phases.front().body) {
    if (instruction.kind == InstructionKind::kFree) {
      live.erase(*instruction.buffer);
      continue;
    }
    if (instruction.op == program.ops[At(program.turn)].id) {
      break;
    }
    for (const BufferId id : effects[Index(instruction.op)].creates) {
      const bool is_discarded =
          std::binary_search(instruction.discards.begin(), instruction.discards.end(), id);
      if (!is_discarded) live.insert(id);
    }
  }
  std::vector<std::uint8_t> drops(program.items.size(), 0);
  for (std::size_t i = 0; i < program.items.size(); ++i) {
    const JointItem& item = program.items[i];
    drops[i] = CrossesTurn(program, item) && !live.contains(item.members.front()) ? 1 : 0;
  }
  return drops;
}

}  // namespace stint
