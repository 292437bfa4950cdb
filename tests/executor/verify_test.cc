#include "executor/verify.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "ir/effects.h"
#include "simulator/simulator.h"
#include "tests/executor/small_training.h"
#include "tests/support/plan_builder.h"

namespace stint {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class VerifyTest : public testing::Test {
 protected:
  Report Verify(const Profile& profile, const Plan& plan, const Program& program) {
    const Results expected = RunUnplanned(program, *runtime_, NamedValues());
    return ExecuteAndVerify(profile, plan, *runtime_, NamedValues(), expected,
                            {.iteration_count = 1, .poison = true});
  }

  std::unique_ptr<DeviceRuntime> runtime_ = MakeDeviceRuntime("cpu");
};

TEST_F(VerifyTest, TheUnplannedRunGivesResultsGradientsAndWhatItWrote) {
  const Results results = RunUnplanned(SmallTraining(), *runtime_, NamedValues());

  std::vector<std::string> names;
  for (const auto& [name, value] : results) names.push_back(name);
  EXPECT_THAT(names, ElementsAre("conv.weight", "conv.weight.exp_avg", "conv.weight.exp_avg_sq",
                                 "grad:conv.weight", "grad:linear.weight", "linear.weight",
                                 "linear.weight.exp_avg", "linear.weight.exp_avg_sq", "loss"));
}

TEST_F(VerifyTest, APlannedStepEqualsTheUnplannedOneBitForBit) {
  const Profile profile = CaptureOn(SmallTraining(), *runtime_);

  const Report report = Verify(profile, KeepAllPlan(profile), SmallTraining());

  ASSERT_TRUE(report.verification.has_value());
  EXPECT_THAT(report.verification->differing, IsEmpty());
  EXPECT_EQ(report.verification->output_count, 1);
  EXPECT_EQ(report.verification->gradient_count, 2);
  EXPECT_EQ(report.verification->weight_count, 6);
}

TEST_F(VerifyTest, RepeatedPhasesGoOnFromWhatTheyWrote) {
  const Program program = SmallTraining(/*repeat_count=*/3);
  const Profile profile = CaptureOn(program, *runtime_);

  const Report report = Verify(profile, KeepAllPlan(profile), program);

  EXPECT_THAT(report.verification->differing, IsEmpty());
  EXPECT_EQ(report.verification->gradient_count, 2);
  EXPECT_EQ(report.verification->weight_count, 6);
}

TEST_F(VerifyTest, RecomputedValuesAreEqual) {
  const Profile profile = CaptureOn(SmallTraining(), *runtime_);
  // The result of SiLU is freed after its use in forward, and computed again for backward.
  const OpId silu = FindOp(profile, "aten::silu");
  const BufferId victim = profile.tensors[Index(*profile.ops[Index(silu)].outputs[0])].buffer;
  const std::vector<OpEffects> effects = DeriveEffects(profile);
  std::vector<std::size_t> uses;
  for (std::size_t op = 0; op < effects.size(); ++op) {
    for (const Value& read : effects[op].reads) {
      if (read.buffer == victim) uses.push_back(op);
    }
  }
  ASSERT_GE(uses.size(), 2U);
  const Plan keep_all = KeepAllPlan(profile);
  PlanBuilder builder(profile);
  for (const Instruction& instruction : keep_all.phases[0].body) {
    if (instruction.kind == InstructionKind::kFree) {
      builder.Free(*instruction.buffer);
      continue;
    }
    if (Index(instruction.op) == uses.back()) builder.Compute(silu);
    builder.Compute(instruction.op);
    if (Index(instruction.op) == uses.front()) builder.Free(victim);
  }
  const Plan plan = builder.Finish();

  const Report report = Verify(profile, plan, SmallTraining());

  EXPECT_THAT(report.verification->differing, IsEmpty());
  EXPECT_EQ(report.recomputed_op_count, 1);
  EXPECT_THAT(report.served.foreign, IsEmpty());
  EXPECT_EQ(FirstMemoryDifference(Simulate(profile, plan), report), "");
}

TEST_F(VerifyTest, BuffersThatMoveToTheHostAndBackAreEqual) {
  const Profile profile = CaptureOn(SmallTraining(), *runtime_);
  // The linear layer's first moment lives on the host but for its update.
  const BufferId moved = FindBuffer(profile, "linear.weight.exp_avg", BufferRole::kOptimizerState);
  const Plan keep_all = KeepAllPlan(profile);
  PlanBuilder builder(profile, {moved});
  for (const Instruction& instruction : keep_all.phases[0].body) {
    if (instruction.kind == InstructionKind::kFree) {
      builder.Free(*instruction.buffer);
      continue;
    }
    const std::vector<BufferId>& writes = profile.ops[Index(instruction.op)].writes;
    const bool is_update = std::find(writes.begin(), writes.end(), moved) != writes.end();
    if (is_update) builder.Fetch(moved);
    builder.Compute(instruction.op);
    if (is_update) builder.Offload(moved);
  }

  const Report report = Verify(profile, builder.Finish(), SmallTraining());

  EXPECT_THAT(report.verification->differing, IsEmpty());
  EXPECT_EQ(report.verification->weight_count, 6);
}

TEST_F(VerifyTest, NamesWhatDiffersAndWhatIsMissing) {
  const Profile profile = CaptureOn(SmallTraining(), *runtime_);
  Results expected = RunUnplanned(SmallTraining(), *runtime_, NamedValues());
  expected.at("grad:conv.weight").mul_(2);
  expected["grad:other"] = at::zeros({1});
  expected.erase("linear.weight");  // As if it had not changed.

  const Report report = ExecuteAndVerify(profile, KeepAllPlan(profile), *runtime_, NamedValues(),
                                         expected, {.iteration_count = 1});

  EXPECT_THAT(report.verification->differing,
              ElementsAre("grad:conv.weight", "grad:other", "linear.weight"));
}

}  // namespace
}  // namespace stint
