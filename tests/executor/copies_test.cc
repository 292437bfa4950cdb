// Plans that move things run beside their copies, on two threads of their own, and change no bit.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "executor/verify.h"
#include "ir/check_plan.h"
#include "ir/errors.h"
#include "planner/snapshot.h"
#include "simulator/simulator.h"
#include "tests/executor/counting_runtime.h"
#include "tests/executor/small_training.h"
#include "tests/support/paged_plan.h"
#include "tests/support/plan_builder.h"
#include "tests/support/plans.h"

namespace stint {
namespace {

using testing::ElementsAre;
using testing::Field;
using testing::IsEmpty;

class CopiesTest : public testing::Test {
 protected:
  /// Everything that can leave the arena does.
  Plan EverythingPaged(const Profile& profile) const {
    return PagedPlan(profile, KeepAllPlan(profile),
                     {.state_bytes = 1 << 20, .activation_bytes = 1 << 20, .shard_bytes = 1 << 15});
  }

  /// Several iterations, so that each starts from what the one before left.
  Report Verify(const Profile& profile, const Plan& plan, const Results& expected,
                std::uint64_t jitter_seed) {
    return ExecuteAndVerify(profile, plan, runtime_, NamedValues(), expected,
                            {.iteration_count = 1, .poison = true, .jitter_seed = jitter_seed});
  }

  CountingRuntime runtime_;
};

TEST_F(CopiesTest, RandomPlansEqualTheUnplannedRunHoweverTheirCopiesAreDelayed) {
  for (const std::int64_t repeat_count : {1, 3}) {
    const Program program = SmallTraining(repeat_count);
    const Profile profile = CaptureOn(program, runtime_);
    const Results expected = RunUnplanned(program, runtime_, NamedValues());
    for (std::uint32_t seed = 0; seed < 12; ++seed) {
      const Plan plan = fixtures::RandomPlan(profile, seed);
      const Report report = Verify(profile, plan, expected, seed);
      EXPECT_THAT(report.verification->differing, IsEmpty()) << "seed " << seed;
      EXPECT_EQ(FirstMemoryDifference(Simulate(profile, plan), report), "") << "seed " << seed;
    }
  }
}

TEST_F(CopiesTest, PagedStatesAndActivationsAreEqual) {
  const Program program = SmallTraining(/*repeat_count=*/3);
  const Profile profile = CaptureOn(program, runtime_);
  const Plan plan = EverythingPaged(profile);
  CheckPlan(profile, plan);
  ASSERT_FALSE(plan.shards.empty());
  ASSERT_FALSE(plan.host.empty());
  const Results expected = RunUnplanned(program, runtime_, NamedValues());
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    const Report report = Verify(profile, plan, expected, seed);
    EXPECT_THAT(report.verification->differing, IsEmpty());
    EXPECT_EQ(report.verification->weight_count, 6);
    EXPECT_EQ(FirstMemoryDifference(Simulate(profile, plan), report), "");
  }
}

TEST_F(CopiesTest, WithoutStreamsOfTheirOwnCopiesRunInTurn) {
  const Profile profile = CaptureOn(SmallTraining(), runtime_);
  const Results expected = RunUnplanned(SmallTraining(), runtime_, NamedValues());
  runtime_.has_copy_streams = false;
  const Report report = Verify(profile, EverythingPaged(profile), expected, /*jitter_seed=*/0);
  EXPECT_THAT(report.verification->differing, IsEmpty());
  EXPECT_THAT(report.streams, IsEmpty());
}

TEST_F(CopiesTest, IterationsGoOnFromWhatTheOneBeforeLeft) {
  // Two iterations and one timed one of a single step are three steps.
  const Profile profile = CaptureOn(SmallTraining(), runtime_);
  const Plan plan = EverythingPaged(profile);
  const auto weights_after = [&](const Plan& run) {
    std::map<std::string, at::Tensor> weights;
    Execute(profile, run, runtime_, NamedValues(),
            {.iteration_count = 1,
             .jitter_seed = 3,
             .on_result = [&](const Buffer& buffer, const torch::Tensor& value) {
               if (buffer.role == BufferRole::kWeight) weights[buffer.name] = value.clone();
             }});
    return weights;
  };
  const auto paged = weights_after(plan);
  const auto kept = weights_after(KeepAllPlan(profile));
  ASSERT_EQ(paged.size(), 2U);
  for (const auto& [name, value] : kept) EXPECT_TRUE(value.equal(paged.at(name))) << name;
}

Plan WithSnapshot(const Profile& profile, Plan plan) {
  SnapshotPlaces snapshot = PlaceSnapshot(profile);
  plan.snapshot = std::move(snapshot.places);
  plan.snapshot_bytes = snapshot.size_bytes;
  CheckPlan(profile, plan);
  return plan;
}

using StateBytes = std::map<BufferId, std::string>;

StateBytes BytesIn(const Profile& profile, const StateSnapshot& snapshot) {
  StateBytes bytes;
  for (const Placement& place : snapshot.places()) {
    bytes[place.buffer].assign(
        reinterpret_cast<const char*>(snapshot.At(place)),
        static_cast<std::size_t>(profile.buffers[Index(place.buffer)].size_bytes));
  }
  return bytes;
}

/// The state after each iteration from `first` on, read when the next one has been run, too.
std::vector<StateBytes> StatesOf(const Profile& profile, const Plan& plan, DeviceRuntime& runtime,
                                 std::int64_t first, std::int64_t iteration_count) {
  std::vector<StateBytes> states;
  std::shared_ptr<StateSnapshot> newest;
  const auto read = [&] {
    if (newest == nullptr) return;
    newest->Wait();
    states.push_back(BytesIn(profile, *newest));
  };
  RunLoop(profile, plan, runtime, NamedValues(),
          {.iteration_count = iteration_count,
           .wants_state =
               [&](std::int64_t iteration) {
                 read();
                 return iteration >= first;
               },
           .on_state = [&](std::int64_t,
                           const std::shared_ptr<StateSnapshot>& snapshot) { newest = snapshot; }});
  read();
  return states;
}

TEST_F(CopiesTest, ASaveFindsTheStateOfItsIterationWhereverItIs) {
  constexpr std::int64_t kCount = 4;
  const Profile profile = CaptureOn(SmallTraining(), runtime_);
  const Plan kept = WithSnapshot(profile, KeepAllPlan(profile));
  const Plan paged = WithSnapshot(profile, EverythingPaged(profile));
  ASSERT_GT(paged.host_bytes, 0);
  // Long enough for an iteration that does not wait for the save.
  runtime_.before_fence_wait = [] { std::this_thread::sleep_for(std::chrono::milliseconds(5)); };

  const std::vector<StateBytes> states = StatesOf(profile, kept, runtime_, 0, kCount);

  ASSERT_EQ(std::ssize(states), kCount);
  EXPECT_NE(states[0], states[1]);
  EXPECT_EQ(StatesOf(profile, paged, runtime_, 0, kCount), states);
  // Nobody asked before, and nothing ran after.
  for (std::int64_t i = 0; i < kCount; ++i) {
    EXPECT_EQ(StatesOf(profile, paged, runtime_, i, i + 1).back(), states[i]);
  }
  EXPECT_EQ(runtime_.allocation_count, 0);
}

TEST_F(CopiesTest, AnotherPlanGoesOnFromTheSnapshotAndTakesNoMoreMemory) {
  const Profile profile = CaptureOn(SmallTraining(), runtime_);
  const Plan kept = WithSnapshot(profile, KeepAllPlan(profile));
  const Plan paged = WithSnapshot(profile, EverythingPaged(profile));
  std::shared_ptr<StateSnapshot> newest;
  const auto run = [&](const Plan& plan, std::int64_t first, std::int64_t count,
                       const LoadValue& load) {
    RunLoop(profile, plan, runtime_, load,
            {.first_iteration = first,
             .iteration_count = count,
             .wants_state = [&](std::int64_t iteration) { return iteration + 1 == first + count; },
             .on_state = [&](std::int64_t,
                             const std::shared_ptr<StateSnapshot>& snapshot) { newest = snapshot; },
             .snapshot = newest});
    newest->Wait();
  };
  run(kept, 0, 4, NamedValues());
  const StateBytes straight = BytesIn(profile, *newest);
  newest.reset();

  run(kept, 0, 2, NamedValues());
  const std::byte* const memory = newest->At(kept.snapshot.front());
  const StateBytes before = BytesIn(profile, *newest);
  run(paged, 2, 2, [&](const Buffer& buffer, const torch::Tensor& value) {
    NamedValues()(buffer, value);
    for (const Placement& place : newest->places()) {
      if (profile.buffers[Index(place.buffer)].name != buffer.name) continue;
      std::memcpy(value.mutable_data_ptr(), newest->At(place), value.nbytes());
    }
  });

  EXPECT_NE(before, straight);
  EXPECT_EQ(BytesIn(profile, *newest), straight);
  EXPECT_EQ(newest->At(paged.snapshot.front()), memory);
  newest.reset();
  EXPECT_EQ(runtime_.allocation_count, 0);
}

TEST_F(CopiesTest, AnOffloadWaitsUntilTheSaveHasReadItsPlace) {
  const Profile profile = CaptureOn(SmallTraining(), runtime_);
  const Plan plan = WithSnapshot(profile, EverythingPaged(profile));
  std::promise<void> gate;
  const std::shared_future<void> opened = gate.get_future().share();
  runtime_.before_fence_wait = [opened] { opened.wait(); };
  StateSnapshot snapshot(profile, plan, runtime_);
  std::vector<std::byte> pool(static_cast<std::size_t>(plan.snapshot_bytes), std::byte{1});
  std::map<BufferId, const std::byte*> sources;
  for (const Placement& place : plan.snapshot) {
    sources[place.buffer] = pool.data() + place.offset_bytes;
  }

  snapshot.Begin([&](BufferId id) -> BufferPlace {
    return {.kind = BufferPlace::Kind::kHostPool, .data = sources.at(id)};
  });

  // What is no part of the state may be written at once.
  const std::byte other{};
  snapshot.AwaitPool(&other, 1);
  std::future<void> writing = std::async(std::launch::async, [&] {
    snapshot.AwaitPool(pool.data(), plan.snapshot_bytes);
    std::ranges::fill(pool, std::byte{2});
  });
  EXPECT_EQ(writing.wait_for(std::chrono::milliseconds(20)), std::future_status::timeout);
  gate.set_value();
  writing.get();
  snapshot.Wait();
  for (const auto& [id, bytes] : BytesIn(profile, snapshot)) {
    EXPECT_EQ(bytes, std::string(bytes.size(), 1)) << NameOf(profile, id);
  }
}

TEST_F(CopiesTest, TheReportSaysWhatEachStreamDid) {
  const Profile profile = CaptureOn(SmallTraining(/*repeat_count=*/2), runtime_);
  const Plan plan = EverythingPaged(profile);
  const Report predicted = Simulate(profile, plan);

  const Report measured = Execute(profile, plan, runtime_, NamedValues(), {.iteration_count = 1});

  ASSERT_THAT(measured.streams, ElementsAre(Field(&StreamTime::stream, Stream::kCompute),
                                            Field(&StreamTime::stream, Stream::kToHost),
                                            Field(&StreamTime::stream, Stream::kToDevice)));
  ASSERT_EQ(predicted.streams.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(measured.streams[i].copied_bytes, predicted.streams[i].copied_bytes);
    EXPECT_GT(measured.streams[i].busy_ns, 0);
  }
  for (const Stall& stall : measured.stalls) {
    const Instruction& cause = plan.phases[0].body.at(static_cast<std::size_t>(stall.copy));
    EXPECT_EQ(stall.cause, NameOf(profile, plan, cause));
    EXPECT_LT(stall.copy, stall.instruction);
    EXPECT_GT(stall.duration_ns, 0);
  }
}

TEST_F(CopiesTest, ADelayedFetchIsTheCauseOfAStall) {
  // The first moment of the linear layer is fetched right before its update.
  const Profile profile = CaptureOn(SmallTraining(), runtime_);
  const BufferId moved = FindBuffer(profile, "linear.weight.exp_avg", BufferRole::kOptimizerState);
  const Plan keep_all = KeepAllPlan(profile);
  PlanBuilder builder(profile, {moved});
  std::size_t update = 0;
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
  const Plan plan = builder.Finish();
  const std::vector<Instruction>& body = plan.phases[0].body;
  while (body[update].kind != InstructionKind::kFetch) ++update;
  ++update;

  const Report report = Execute(profile, plan, runtime_, NamedValues(), {.iteration_count = 1});

  const auto stall =
      std::ranges::find(report.stalls, static_cast<std::int32_t>(update), &Stall::instruction);
  ASSERT_NE(stall, report.stalls.end());
  EXPECT_EQ(stall->cause,
            "fetch of buffer " + std::to_string(Index(moved)) + " (linear.weight.exp_avg)");
}

TEST_F(CopiesTest, RefusesAPoolThatTheHostCannotSpare) {
  const Profile profile = CaptureOn(SmallTraining(), runtime_);
  Plan plan = EverythingPaged(profile);
  plan.host_bytes = std::int64_t{1} << 50;
  EXPECT_THROW(Execute(profile, plan, runtime_, NamedValues(), {.iteration_count = 1}), InputError);
}

TEST_F(CopiesTest, EndsCopiesAndFreesEverythingWhenAnOpThrows) {
  Profile profile = CaptureOn(SmallTraining(), runtime_);
  const OpId op = FindOp(profile, "aten::silu");
  profile.ops[Index(op)].name = "aten::cholesky";  // Takes matrices only.
  profile.ops[Index(op)].arguments.emplace_back(false);
  EXPECT_THROW(
      Execute(profile, EverythingPaged(profile), runtime_, NamedValues(), {.iteration_count = 1}),
      c10::Error);
  EXPECT_EQ(runtime_.allocation_count, 0);
}

}  // namespace
}  // namespace stint
