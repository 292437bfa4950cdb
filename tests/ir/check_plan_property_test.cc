#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "ir/check_plan.h"
#include "ir/errors.h"
#include "tests/support/graphs.h"
#include "tests/support/naive_check_plan.h"
#include "tests/support/plans.h"

namespace stint {
namespace {

/// Why CheckPlan refuses; empty if it does not.
std::string Refusal(const Profile& profile, const Plan& plan) {
  try {
    CheckPlan(profile, plan);
    return {};
  } catch (const InputError& error) {
    return error.what();
  }
}

/// Spoils a plan in one of many small ways; some leave it right.
class Mutator {
 public:
  Mutator(Plan plan, std::uint32_t seed) : plan_(std::move(plan)), generator_(seed) {}

  Plan Run() {
    std::vector<Instruction>& part = RandomPart();
    switch (Below(14)) {
      case 0:
        if (!part.empty()) part.erase(part.begin() + static_cast<long>(Below(part.size())));
        break;
      case 1:
        if (!part.empty()) std::swap(RandomOf(part), RandomOf(part));
        break;
      case 2: {
        if (part.empty()) break;
        const Instruction copy = RandomOf(part);
        part.insert(part.begin() + static_cast<long>(Below(part.size() + 1)), copy);
        break;
      }
      case 3:
        if (!part.empty()) ShiftOffset(RandomOf(part));
        break;
      case 4:
        if (!part.empty()) ChangeDiscards(RandomOf(part));
        break;
      case 5:
        if (!part.empty()) ChangeKind(RandomOf(part));
        break;
      case 6:
        if (!part.empty()) ChangeBuffer(RandomOf(part));
        break;
      case 7:
        if (!plan_.initial.empty()) RandomOf(plan_.initial).offset_bytes = SmallOffset();
        break;
      case 8:
        if (!plan_.host.empty()) RandomOf(plan_.host).offset_bytes = SmallOffset();
        break;
      case 9:
        if (!plan_.initial.empty()) {
          plan_.initial.erase(plan_.initial.begin() +
                              static_cast<long>(Below(plan_.initial.size())));
        }
        break;
      case 10:
        ChangeHead();
        break;
      case 11:
        if (!plan_.shards.empty()) ChangeShard(plan_.shards[0]);
        break;
      case 12:
        MoveToAnotherPart(part);
        break;
      case 13:
        ChangeSnapshot();
        break;
    }
    return plan_;
  }

 private:
  std::size_t Below(std::size_t end) { return generator_() % end; }
  std::int64_t SmallOffset() { return static_cast<std::int64_t>(512 * Below(12)); }
  template <typename T>
  T& RandomOf(std::vector<T>& values) {
    return values[Below(values.size())];
  }

  std::vector<Instruction>& RandomPart() {
    PhasePlan& phase = RandomOf(plan_.phases);
    const std::size_t choice = Below(8);
    return choice == 0 ? phase.prologue : choice == 1 ? phase.epilogue : phase.body;
  }

  void ShiftOffset(Instruction& instruction) {
    if (instruction.kind == InstructionKind::kFetch) instruction.offset_bytes = SmallOffset();
    if (instruction.request_offsets.empty()) return;
    RandomOf(instruction.request_offsets) = SmallOffset();
  }

  void ChangeDiscards(Instruction& instruction) {
    if (instruction.kind != InstructionKind::kCompute) return;
    if (!instruction.discards.empty() && Below(2) == 0) {
      instruction.discards.pop_back();
    } else {
      const auto id = static_cast<BufferId>(Below(30));
      if (instruction.discards.empty() || instruction.discards.back() < id) {
        instruction.discards.push_back(id);
      }
    }
  }

  void ChangeKind(Instruction& instruction) {
    if (instruction.kind == InstructionKind::kCompute || instruction.shard) return;
    static constexpr InstructionKind kKinds[] = {InstructionKind::kFree, InstructionKind::kOffload,
                                                 InstructionKind::kDrop};
    instruction.kind = kKinds[Below(3)];
    instruction.offset_bytes = 0;
  }

  void ChangeBuffer(Instruction& instruction) {
    if (instruction.buffer) instruction.buffer = static_cast<BufferId>(Below(30));
    if (instruction.kind == InstructionKind::kCompute) {
      instruction.op = static_cast<OpId>(Below(40));
    }
  }

  void ChangeHead() {
    std::int64_t* const numbers[] = {
        &plan_.peak_bytes,     &plan_.arena_bytes,    &plan_.host_bytes,
        &plan_.duration_ns,    &plan_.overhead_bytes, &plan_.budget_bytes,
        &plan_.lower_bound_ns, &plan_.snapshot_bytes, &plan_.host_budget_bytes};
    std::int64_t& number = *numbers[Below(9)];
    number = std::max<std::int64_t>(0, number + static_cast<std::int64_t>(512 * Below(3)) - 512);
  }

  void ChangeSnapshot() {
    if (plan_.snapshot.empty()) return;
    Placement& place = RandomOf(plan_.snapshot);
    switch (Below(3)) {
      case 0:
        place.offset_bytes = SmallOffset();
        break;
      case 1:
        place.buffer = static_cast<BufferId>(Below(30));
        break;
      case 2:
        plan_.snapshot.erase(plan_.snapshot.begin() +
                             static_cast<long>(Below(plan_.snapshot.size())));
        break;
    }
  }

  void ChangeShard(Shard& shard) {
    switch (Below(3)) {
      case 0:
        shard.size_bytes = SmallOffset();
        break;
      case 1:
        shard.host_offset_bytes = SmallOffset();
        break;
      case 2:
        RandomOf(shard.members).offset_bytes = SmallOffset();
        break;
    }
  }

  void MoveToAnotherPart(std::vector<Instruction>& part) {
    if (part.empty()) return;
    const std::size_t i = Below(part.size());
    const Instruction moved = part[i];
    part.erase(part.begin() + static_cast<long>(i));
    std::vector<Instruction>& target = RandomPart();
    target.insert(target.begin() + static_cast<long>(Below(target.size() + 1)), moved);
  }

  Plan plan_;
  std::mt19937 generator_;
};

class CheckPlanProperty : public testing::TestWithParam<std::uint32_t> {};

TEST_P(CheckPlanProperty, AcceptsKeepAll) {
  const Profile profile = fixtures::RandomProfile(GetParam());
  const Plan plan = fixtures::KeepAllPlan(profile);

  EXPECT_EQ(Refusal(profile, plan), "");
  EXPECT_EQ(fixtures::NaiveFault(profile, plan), "");
}

TEST_P(CheckPlanProperty, AcceptsRightPlansThatRecomputeAndMove) {
  const Profile profile = fixtures::RandomProfile(GetParam());
  const Plan plan = fixtures::RandomPlan(profile, GetParam());

  EXPECT_EQ(Refusal(profile, plan), "");
  EXPECT_EQ(fixtures::NaiveFault(profile, plan), "");
}

TEST_P(CheckPlanProperty, AgreesWithItsTwinOnSpoiledPlans) {
  const Profile profile = fixtures::RandomProfile(GetParam());
  const Plan right = fixtures::RandomPlan(profile, GetParam());
  for (std::uint32_t i = 0; i < 60; ++i) {
    const Plan plan = Mutator(right, 1000 * GetParam() + i).Run();
    bool is_well_formed = true;
    try {
      Validate(plan);
    } catch (const InputError&) {
      is_well_formed = false;
    }
    const std::string refusal = Refusal(profile, plan);
    const std::string fault = is_well_formed ? fixtures::NaiveFault(profile, plan) : "ill-formed";

    EXPECT_EQ(refusal.empty(), fault.empty())
        << "mutation " << i << "\nCheckPlan: " << refusal << "\ntwin: " << fault;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, CheckPlanProperty, testing::Range(0u, 150u));

TEST(CheckPlanPropertySeeds, CoverMovesRecomputationAndShards) {
  std::vector<std::int64_t> counts(5);
  std::int64_t again_count = 0;
  std::int64_t shard_count = 0;
  for (std::uint32_t seed = 0; seed < 150; ++seed) {
    const Profile profile = fixtures::RandomProfile(seed);
    const Plan plan = fixtures::RandomPlan(profile, seed);
    shard_count += static_cast<std::int64_t>(plan.shards.size());
    for (const PhasePlan& phase : plan.phases) {
      std::vector<int> run_counts(profile.ops.size());
      for (const Instruction& instruction : phase.body) {
        ++counts[static_cast<std::size_t>(instruction.kind)];
        if (instruction.kind != InstructionKind::kCompute) continue;
        if (++run_counts[Index(instruction.op)] == 2) ++again_count;
      }
    }
  }
  for (const std::int64_t count : counts) EXPECT_GT(count, 50);
  EXPECT_GT(again_count, 20);
  EXPECT_GT(shard_count, 20);
}

}  // namespace
}  // namespace stint
