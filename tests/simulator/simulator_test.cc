#include "simulator/simulator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "ir/errors.h"

namespace stint {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr std::int64_t kUnit = 512;  // Every size below is a multiple of it.

BufferId B(int index) { return static_cast<BufferId>(index); }

Request Becomes(int buffer, std::int64_t units) {
  return {.size_bytes = units * kUnit, .buffer = B(buffer)};
}
Request DiesAfter(std::int32_t last, std::int64_t units) {
  return {.size_bytes = units * kUnit, .freed_after_request = last};
}

/// Op i reads buffer i and makes buffer i + 1; buffer 0 is a weight.
///
///     w (1 unit) --A 10 ns--> a (2) --B 20 ns--> b (3) --C 40 ns--> out (1)
///
/// B also asks for 4 units of scratch that die before its output is asked for, then for 1 unit that
/// lives to its end.
Profile Chain() {
  Profile profile = {
      .buffers = {{.name = "w",
                   .role = BufferRole::kWeight,
                   .size_bytes = 1 * kUnit,
                   .is_persistent = true},
                  {.role = BufferRole::kActivation, .size_bytes = 2 * kUnit},
                  {.role = BufferRole::kActivation, .size_bytes = 3 * kUnit},
                  {.name = "out", .role = BufferRole::kOutput, .size_bytes = 1 * kUnit}},
      .ops = {{.name = "aten::a", .requests = {Becomes(1, 2)}, .duration_ns = 10},
              {.name = "aten::b",
               .requests = {DiesAfter(0, 4), DiesAfter(2, 1), Becomes(2, 3)},
               .duration_ns = 20},
              {.name = "aten::c", .requests = {Becomes(3, 1)}, .duration_ns = 40}},
      .phases = {{.name = "step", .begin = OpId{0}, .end = OpId{3}}}};
  for (int i = 0; i < 4; ++i) {
    const std::int64_t count = profile.buffers[i].size_bytes / 4;
    profile.tensors.push_back(
        {.buffer = B(i), .dtype = "float32", .sizes = {count}, .strides = {1}});
  }
  for (int i = 0; i < 3; ++i) {
    profile.ops[i].arguments = {TensorArgument{static_cast<TensorId>(i)}};
    profile.ops[i].outputs = {static_cast<TensorId>(i + 1)};
  }
  return profile;
}

Instruction Compute(int op, std::vector<std::int64_t> offsets_units,
                    std::vector<BufferId> discards = {}) {
  for (std::int64_t& offset : offsets_units) offset *= kUnit;
  return {.kind = InstructionKind::kCompute,
          .op = static_cast<OpId>(op),
          .request_offsets = std::move(offsets_units),
          .discards = std::move(discards)};
}
Instruction Free(int buffer) { return {.kind = InstructionKind::kFree, .buffer = B(buffer)}; }
Instruction Move(InstructionKind kind, int buffer, std::int64_t offset_units = 0) {
  return {.kind = kind, .buffer = B(buffer), .offset_bytes = offset_units * kUnit};
}

/// `body` for Chain(), with w at the bottom of the arena.
Plan PlanOf(std::vector<Instruction> body) {
  return {.profile_sha256 = "p",
          .overhead_bytes = 100,
          .initial = {{.buffer = B(0), .offset_bytes = 0}},
          .phases = {{.body = std::move(body)}}};
}

std::vector<std::int64_t> InUnits(std::vector<std::int64_t> bytes) {
  for (std::int64_t& value : bytes) value /= kUnit;
  return bytes;
}

/// Everything kept until it is of no use.
///
///     offset
///       8  |         B's 2nd |
///       7  |         scratch4|            C: out at 1
///       3  |    B: b at 3..6, over the dead scratch
///       1  |  a at 1..3
///       0  |  w
Plan KeepAll() {
  return PlanOf({Compute(0, {1}), Compute(1, {3, 7, 3}), Free(1), Compute(2, {1}), Free(2)});
}

TEST(SimulateTest, CountsBytesInstructionByInstruction) {
  const Report report = Simulate(Chain(), KeepAll());

  ASSERT_EQ(report.phases.size(), 1);
  const Timeline& body = report.phases[0].body;
  // w+a | w+a+b | w+b | w+b+out | w+out
  EXPECT_THAT(InUnits(body.live_after_bytes), ElementsAre(3, 6, 4, 5, 2));
  // B: w+a = 3, scratch 4: 7, and 1: 8 -- but the 4 are dead by then: 3+1 = 4, with b 7.
  EXPECT_THAT(InUnits(body.peak_bytes), ElementsAre(3, 7, 6, 5, 5));
  EXPECT_THAT(InUnits(body.request_live_bytes[1]), ElementsAre(7, 4, 7));
  EXPECT_THAT(body.request_live_bytes[2], IsEmpty());
  std::map<BufferRole, std::vector<std::int64_t>> roles;
  for (const RolePeaks& peaks : body.peak_by_role) roles[peaks.role] = InUnits(peaks.size_bytes);
  EXPECT_THAT(roles, ElementsAre(Pair(BufferRole::kWeight, ElementsAre(1, 1, 1, 1, 1)),
                                 Pair(BufferRole::kActivation, ElementsAre(2, 2, 5, 3, 3)),
                                 Pair(BufferRole::kOutput, ElementsAre(0, 0, 0, 1, 1)),
                                 // B's first scratch: the first of the moments with 7.
                                 Pair(BufferRole::kWorkspace, ElementsAre(0, 4, 0, 0, 0))));
  EXPECT_EQ(report.peak_bytes, 7 * kUnit);
  EXPECT_EQ(report.arena_bytes, 8 * kUnit);  // B's second scratch lies at 7.
}

TEST(SimulateTest, RoundsEachRequestUp) {
  Profile profile = Chain();
  profile.buffers[0].size_bytes = 4;
  profile.ops[1].requests[1].size_bytes = 1;

  EXPECT_EQ(Simulate(profile, KeepAll()).peak_bytes, 7 * kUnit);
}

TEST(SimulateTest, AddsDurationsOnOneStream) {
  const Report report = Simulate(Chain(), KeepAll());

  EXPECT_THAT(report.phases[0].body.start_ns, ElementsAre(0, 10, 30, 30, 70));
  EXPECT_THAT(report.phases[0].body.duration_ns, ElementsAre(10, 20, 0, 40, 0));
  EXPECT_EQ(report.duration_ns, 10 + 20 + 40);
}

TEST(SimulateTest, SplitsTheFirstPeakByRole) {
  // At B's first request: w, a, and 4 of scratch.
  const Report report = Simulate(Chain(), KeepAll());

  ASSERT_EQ(report.peak_by_role.size(), 3);
  EXPECT_EQ(report.peak_by_role[0].role, BufferRole::kWeight);
  EXPECT_EQ(report.peak_by_role[0].size_bytes, 1 * kUnit);
  EXPECT_EQ(report.peak_by_role[1].role, BufferRole::kActivation);
  EXPECT_EQ(report.peak_by_role[1].size_bytes, 2 * kUnit);
  EXPECT_EQ(report.peak_by_role[2].role, BufferRole::kWorkspace);
  EXPECT_EQ(report.peak_by_role[2].size_bytes, 4 * kUnit);
}

TEST(SimulateTest, DiscardedOutputDiesWithItsOp) {
  // A runs twice: once for nothing.
  const Report report =
      Simulate(Chain(), PlanOf({Compute(0, {1}, {B(1)}), Compute(0, {1}), Compute(1, {3, 7, 3}),
                                Free(1), Compute(2, {1}), Free(2)}));

  EXPECT_THAT(InUnits(report.phases[0].body.live_after_bytes), ElementsAre(1, 3, 6, 4, 5, 2));
  EXPECT_EQ(InUnits(report.phases[0].body.peak_bytes).front(), 3);
  EXPECT_EQ(report.recomputed_op_count, 1);
  EXPECT_EQ(report.duration_ns, 10 + 10 + 20 + 40);
}

TEST(SimulateTest, CountsRepetitionsInTimeAndRecomputesButWalksTheBodyOnce) {
  Profile profile = Chain();
  profile.phases[0].repeat_count = 3;
  Plan plan = PlanOf({Compute(0, {1}), Compute(0, {9}, {B(1)}), Compute(1, {3, 7, 3}), Free(1),
                      Compute(2, {1}), Free(2), Free(3)});

  const Report report = Simulate(profile, plan);

  EXPECT_EQ(report.duration_ns, 3 * (10 + 10 + 20 + 40));
  EXPECT_EQ(report.recomputed_op_count, 3);
  EXPECT_EQ(report.phases[0].repeat_count, 3);
  EXPECT_EQ(report.phases[0].body.start_ns.size(), 7);
}

TEST(SimulateTest, PrologueAndEpilogueFrameTheRepetitions) {
  Profile profile = Chain();
  profile.phases[0].repeat_count = 2;
  Plan plan = PlanOf({Compute(1, {3, 7, 3}), Compute(2, {9}), Free(2), Free(3)});
  plan.phases[0].prologue = {Compute(0, {1})};
  plan.phases[0].epilogue = {Compute(0, {11}, {B(1)}), Free(1)};

  const Report report = Simulate(profile, plan);

  // prologue [0, 10), bodies [10, 70) and [70, 130), epilogue from 130.
  EXPECT_THAT(report.phases[0].prologue.start_ns, ElementsAre(0));
  EXPECT_THAT(report.phases[0].body.start_ns, ElementsAre(10, 30, 70, 70));
  EXPECT_THAT(report.phases[0].epilogue.start_ns, ElementsAre(130, 140));
  EXPECT_EQ(report.duration_ns, 140);
  EXPECT_EQ(report.arena_bytes, 13 * kUnit);
}

/// Chain() on a device that copies 1 unit in 15 ns either way, whatever runs beside it.
Profile ChainWithCopies() {
  Profile profile = Chain();
  profile.device.kind = DeviceKind::kCuda;
  profile.device.copy_times = {
      {.size_bytes = kUnit, .to_host_ns = 15, .to_device_ns = 15, .both_ns = 15}};
  return profile;
}

TEST(SimulateTest, OverlapsCopiesWithComputeUntilTheirPlaceOrValueIsNeeded) {
  // w leaves after A and comes back where it was before C's end; C's output takes its place first.
  //
  // compute    |-A 10-|--B 20--|   C 40 --|
  // to host           |off 15|                     w: 10..25
  // to device                       |fetch 15|     w to 9, issued after B (30): 30..45
  Plan plan = PlanOf({Compute(0, {1}), Move(InstructionKind::kOffload, 0), Compute(1, {3, 7, 3}),
                      Free(1), Move(InstructionKind::kFetch, 0, 9), Compute(2, {0}), Free(2)});

  const Report report = Simulate(ChainWithCopies(), plan);

  EXPECT_THAT(report.phases[0].body.start_ns, ElementsAre(0, 10, 10, 30, 30, 30, 70));
  EXPECT_THAT(report.phases[0].body.duration_ns, ElementsAre(10, 15, 20, 0, 15, 40, 0));
  // w+a | a | a+b | b | b+w | b+w+out | w+out
  EXPECT_THAT(InUnits(report.phases[0].body.live_after_bytes), ElementsAre(3, 2, 5, 3, 4, 5, 2));
  EXPECT_EQ(report.duration_ns, 70);
  EXPECT_EQ(report.arena_bytes, 10 * kUnit);
  EXPECT_EQ(report.process_bytes, 10 * kUnit + 100);
  EXPECT_THAT(report.stalls, IsEmpty());
  ASSERT_EQ(report.streams.size(), 3U);
  EXPECT_EQ(report.streams[0].busy_ns, 10 + 20 + 40);
  EXPECT_EQ(report.streams[1].busy_ns, 15);
  EXPECT_EQ(report.streams[2].copied_bytes, kUnit);
}

TEST(SimulateTest, ComputeWaitsForAnOffloadWhosePlaceItTakes) {
  // B's second scratch takes w's place: it waits for the copy, 10..25.
  const Plan plan = PlanOf({Compute(0, {1}), Move(InstructionKind::kOffload, 0),
                            Compute(1, {3, 0, 3}), Free(1), Compute(2, {1}), Free(2)});

  const Report report = Simulate(ChainWithCopies(), plan);

  EXPECT_THAT(report.phases[0].body.start_ns, ElementsAre(0, 10, 25, 45, 45, 85));
  EXPECT_EQ(report.duration_ns, 85);
  ASSERT_EQ(report.stalls.size(), 1U);
  EXPECT_EQ(report.stalls[0].part, "body");
  EXPECT_EQ(report.stalls[0].instruction, 2);
  EXPECT_EQ(report.stalls[0].copy, 1);
  EXPECT_EQ(report.stalls[0].cause, "offload of buffer 0 (w)");
  EXPECT_EQ(report.stalls[0].duration_ns, 15);
}

TEST(SimulateTest, WaitingCostsTimeAlsoWhereTheCopyIsOver) {
  // A tells the offload that it is over: 10 + 2. The offload takes 12..27. B takes no place of w,
  // but C's output does, at 32, when the offload is over long since: 40 + 2.
  Profile profile = ChainWithCopies();
  profile.device.wait_ns = 2;
  const Plan plan = PlanOf({Compute(0, {1}), Move(InstructionKind::kOffload, 0),
                            Compute(1, {3, 7, 3}), Free(1), Compute(2, {0}), Free(2)});

  const Report report = Simulate(profile, plan);

  EXPECT_THAT(report.phases[0].body.duration_ns, ElementsAre(12, 15, 20, 0, 42, 0));
  EXPECT_EQ(report.duration_ns, 74);
}

TEST(SimulateTest, ComputeWaitsForTheFetchOfWhatItReads) {
  // The fetch runs 10..25 after the offload 0..15 of the same value: 15..30; A waits.
  const Plan plan =
      PlanOf({Move(InstructionKind::kOffload, 0), Move(InstructionKind::kFetch, 0, 9),
              Compute(0, {1}), Compute(1, {3, 7, 3}), Free(1), Compute(2, {1}), Free(2)});

  const Report report = Simulate(ChainWithCopies(), plan);

  EXPECT_THAT(report.phases[0].body.start_ns, ElementsAre(0, 15, 30, 40, 60, 60, 100));
}

TEST(SimulateTest, MovesAShardAsOneCopy) {
  Profile profile = ChainWithCopies();
  profile.buffers.push_back(
      {.name = "v", .role = BufferRole::kWeight, .size_bytes = 2 * kUnit, .is_persistent = true});
  Plan plan = PlanOf({Compute(0, {4}),
                      Compute(1, {6, 10, 6}),
                      Free(1),
                      {.kind = InstructionKind::kDrop, .shard = ShardId{0}},
                      Compute(2, {4}),
                      Free(2),
                      {.kind = InstructionKind::kFetch, .shard = ShardId{0}, .offset_bytes = 0}});
  plan.initial.push_back({.buffer = B(4), .offset_bytes = kUnit});
  plan.shards = {
      {.name = "all",
       .size_bytes = 3 * kUnit,
       .members = {{.buffer = B(0), .offset_bytes = 0}, {.buffer = B(4), .offset_bytes = kUnit}}}};

  const Report report = Simulate(profile, plan);

  // w+v+a | +b | -a | -w-v | +out | -b | +w+v
  EXPECT_THAT(InUnits(report.phases[0].body.live_after_bytes), ElementsAre(5, 8, 6, 3, 4, 1, 4));
  // 3 units keep the rate of 1: 45 ns, from the end of C.
  EXPECT_EQ(report.phases[0].body.start_ns.back(), 70);
  EXPECT_EQ(report.phases[0].body.duration_ns.back(), 45);
  EXPECT_EQ(report.duration_ns, 115);
  // The end of the body waits for it.
  ASSERT_EQ(report.stalls.size(), 1U);
  EXPECT_EQ(report.stalls[0].instruction, 7);
  EXPECT_EQ(report.stalls[0].cause, "fetch of shard 0 (all)");
  EXPECT_EQ(report.stalls[0].duration_ns, 45);
}

void ExpectRefused(const Profile& profile, const Plan& plan, const std::string& where,
                   const std::string& fact) {
  try {
    Simulate(profile, plan);
    FAIL() << "accepted";
  } catch (const InputError& error) {
    EXPECT_EQ(error.where(), where);
    EXPECT_THAT(error.fact(), HasSubstr(fact));
  }
}

TEST(SimulateTest, RefusesToReadWhatIsNotResident) {
  ExpectRefused(Chain(), PlanOf({Compute(0, {1}), Free(1), Compute(1, {3, 7, 3})}),
                "plan:/phases/0/body/2", "reads buffer 1, which is not resident");
}

TEST(SimulateTest, RefusesToFreeTwice) {
  ExpectRefused(Chain(), PlanOf({Compute(0, {1}), Free(1), Free(1)}), "plan:/phases/0/body/2",
                "ends the residence of buffer 1");
}

TEST(SimulateTest, RefusesASecondResidence) {
  ExpectRefused(Chain(), PlanOf({Compute(0, {1}), Compute(0, {3})}), "plan:/phases/0/body/1",
                "second residence of buffer 1");
  ExpectRefused(Chain(), PlanOf({Move(InstructionKind::kFetch, 0, 1)}), "plan:/phases/0/body/0",
                "second residence of buffer 0 (w)");
}

TEST(SimulateTest, RefusesWhatTheProfileLacks) {
  ExpectRefused(Chain(), PlanOf({Compute(3, {1})}), "plan:/phases/0/body/0",
                "op the profile lacks");
  ExpectRefused(Chain(), PlanOf({Compute(0, {1, 2})}), "plan:/phases/0/body/0",
                "2 request offsets");
  ExpectRefused(Chain(), PlanOf({Free(9)}), "plan:/phases/0/body/0", "buffer the profile lacks");
  Plan plan = KeepAll();
  plan.phases.emplace_back();
  ExpectRefused(Chain(), plan, "plan:/phases", "has 2 phases, the profile has 1");
}

}  // namespace
}  // namespace stint
