#include "executor/executor.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <utility>

#include "ir/check_plan.h"
#include "ir/errors.h"
#include "simulator/simulator.h"
#include "tests/executor/counting_runtime.h"
#include "tests/executor/small_training.h"
#include "tests/support/plan_builder.h"

namespace stint {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class ExecutorTest : public testing::Test {
 protected:
  Report Run(const Plan& plan, ExecuteOptions options = {.iteration_count = 2}) {
    return Execute(profile_, plan, runtime_, NamedValues(), options);
  }

  CountingRuntime runtime_;
  Profile profile_ = CaptureOn(SmallTraining(), runtime_);
};

TEST_F(ExecutorTest, ServesEveryRequestAsPlanned) {
  const Plan plan = KeepAllPlan(profile_);
  CheckPlan(profile_, plan);

  const Report report = Run(plan);

  std::int64_t request_count = 0;
  for (const Op& op : profile_.ops) request_count += static_cast<std::int64_t>(op.requests.size());
  EXPECT_EQ(report.served.request_count, 3 * request_count);  // Three iterations.
  EXPECT_EQ(report.served.mismatch_count, 0);
  EXPECT_THAT(report.served.foreign, IsEmpty());
  EXPECT_EQ(report.arena_bytes, plan.arena_bytes);
  EXPECT_EQ(report.peak_bytes, plan.peak_bytes);
  EXPECT_EQ(report.mode, "op-by-op");
  EXPECT_EQ(report.iteration_count, 2);
  EXPECT_GT(report.duration_ns, 0);
}

TEST_F(ExecutorTest, RunsOnceWhereOnceIsEnough) {
  const Plan plan = KeepAllPlan(profile_);
  std::int64_t request_count = 0;
  for (const Op& op : profile_.ops) request_count += static_cast<std::int64_t>(op.requests.size());
  std::int64_t result_count = 0;

  const Report report =
      Run(plan, {.iteration_count = 0,
                 .on_result = [&](const Buffer&, const at::Tensor&) { ++result_count; }});

  EXPECT_EQ(report.served.request_count, request_count);
  EXPECT_EQ(report.iteration_count, 1);
  EXPECT_GT(report.duration_ns, 0);
  EXPECT_GT(result_count, 0);
  EXPECT_EQ(FirstMemoryDifference(Simulate(profile_, plan), report), "");
}

TEST_F(ExecutorTest, MeasuresWhatTheSimulatorPredicts) {
  const Plan plan = KeepAllPlan(profile_);
  const Report predicted = Simulate(profile_, plan);

  const Report measured = Run(plan);

  EXPECT_EQ(FirstMemoryDifference(predicted, measured), "");
  ASSERT_EQ(measured.peak_by_role.size(), predicted.peak_by_role.size());
  for (std::size_t i = 0; i < predicted.peak_by_role.size(); ++i) {
    EXPECT_EQ(measured.peak_by_role[i].role, predicted.peak_by_role[i].role);
    EXPECT_EQ(measured.peak_by_role[i].size_bytes, predicted.peak_by_role[i].size_bytes);
  }
}

TEST_F(ExecutorTest, CountsLiveBytesOfTheFirstOpByHand) {
  const Plan plan = KeepAllPlan(profile_);
  std::int64_t live_bytes = 0;
  for (const Buffer& buffer : profile_.buffers) {
    if (buffer.is_persistent) live_bytes += (buffer.size_bytes + 511) / 512 * 512;
  }

  const Timeline body = Run(plan).phases.at(0).body;

  const std::int64_t first_bytes = profile_.ops[0].requests.at(0).size_bytes;
  EXPECT_EQ(body.request_live_bytes[0][0], live_bytes + (first_bytes + 511) / 512 * 512);
}

TEST_F(ExecutorTest, TellsTimesOfInstructions) {
  const Timeline body = Run(KeepAllPlan(profile_)).phases.at(0).body;

  for (std::size_t i = 0; i < body.start_ns.size(); ++i) {
    EXPECT_GE(body.duration_ns[i], 0);
    if (i == 0) continue;
    EXPECT_GE(body.start_ns[i], body.start_ns[i - 1] + body.duration_ns[i - 1]);
  }
  EXPECT_GT(body.duration_ns[0], 0);
}

TEST_F(ExecutorTest, NamesForeignRequestsAndGoesOn) {
  // An op is planned without one of the requests that die inside it.
  for (std::size_t i = 0; i < profile_.ops.size(); ++i) {
    std::vector<Request>& requests = profile_.ops[i].requests;
    const auto dying = std::find_if(requests.begin(), requests.end(),
                                    [](const Request& request) { return !request.buffer; });
    if (dying == requests.end()) continue;
    const std::int64_t size_bytes = dying->size_bytes;
    const auto index = static_cast<std::int32_t>(dying - requests.begin());
    requests.erase(dying);
    for (Request& request : requests) {
      if (request.freed_after_request >= index) --request.freed_after_request;
    }
    const std::string where = profile_.ops[i].name + " in " + profile_.ops[i].module;

    const Report report = Run(KeepAllPlan(profile_));

    ASSERT_EQ(report.served.foreign.size(), 3U);  // Once in each iteration.
    EXPECT_EQ(report.served.foreign[0].where, where);
    EXPECT_EQ(report.served.foreign[0].size_bytes, size_bytes);
    EXPECT_EQ(report.served.mismatch_count, 0);
    return;
  }
  FAIL() << "no op has a request that dies inside it";
}

TEST_F(ExecutorTest, CountsRequestsThatDoNotCome) {
  std::vector<Request>& requests = profile_.ops[0].requests;
  requests.push_back(
      {.size_bytes = 12345, .freed_after_request = static_cast<std::int32_t>(requests.size())});

  const Report report = Run(KeepAllPlan(profile_), {.iteration_count = 1});

  EXPECT_EQ(report.served.mismatch_count, 2);  // In two iterations.
}

TEST_F(ExecutorTest, RefusesAProfileWhoseOutputsComeFromOtherRequests) {
  const OpId op = FindOp(profile_, "aten::silu");
  profile_.ops[Index(op)].requests.back().size_bytes += 512;
  const Plan plan = KeepAllPlan(profile_);
  EXPECT_THROW(Run(plan), InputError);
  EXPECT_EQ(runtime_.allocation_count, 0);
}

TEST_F(ExecutorTest, RefusesPlansOfOtherProfilesAndDevices) {
  Plan plan = KeepAllPlan(profile_);
  runtime_.kind_override = DeviceKind::kCuda;
  EXPECT_THROW(Run(plan), InputError);
  runtime_.kind_override = DeviceKind::kCpu;
  plan.profile_sha256 = "0";
  EXPECT_THROW(Run(plan), InputError);
}

TEST_F(ExecutorTest, RefusesAnotherNumberOfThreads) {
  profile_.device.thread_count += 1;
  EXPECT_THROW(Run(KeepAllPlan(profile_)), InputError);
}

TEST_F(ExecutorTest, RefusesAPlanThatReadsADeadValue) {
  Plan plan = KeepAllPlan(profile_);
  std::vector<Instruction>& body = plan.phases[0].body;
  const auto free = std::find_if(body.begin(), body.end(), [](const Instruction& instruction) {
    return instruction.kind == InstructionKind::kFree;
  });
  std::rotate(body.begin() + 1, free, free + 1);
  EXPECT_THROW(Run(plan), std::logic_error);
  EXPECT_EQ(runtime_.allocation_count, 0);
}

TEST_F(ExecutorTest, SaysThatTheDeviceHasNoMemoryAndKeepsNone) {
  runtime_.fails_to_allocate = true;
  EXPECT_THROW(Run(KeepAllPlan(profile_)), InputError);
  EXPECT_EQ(runtime_.allocation_count, 0);
}

TEST_F(ExecutorTest, FreesTheArenaWhenAnOpThrows) {
  const OpId op = FindOp(profile_, "aten::silu");
  profile_.ops[Index(op)].name = "aten::cholesky";  // Takes matrices only.
  profile_.ops[Index(op)].arguments.emplace_back(false);
  EXPECT_THROW(Run(KeepAllPlan(profile_)), c10::Error);
  EXPECT_EQ(runtime_.allocation_count, 0);
}

TEST_F(ExecutorTest, PoisonChangesNoResult) {
  const auto results_with = [&](bool poison) {
    std::map<std::string, at::Tensor> results;
    Run(KeepAllPlan(profile_), {.iteration_count = 1,
                                .poison = poison,
                                .on_result = [&](const Buffer& buffer, const at::Tensor& value) {
                                  results[buffer.name] = value;
                                }});
    return results;
  };
  const auto plain = results_with(false);
  const auto poisoned = results_with(true);
  ASSERT_EQ(plain.size(), poisoned.size());
  for (const auto& [name, value] : plain) EXPECT_TRUE(value.equal(poisoned.at(name))) << name;
}

TEST_F(ExecutorTest, PoisonShowsReadsOfMemoryThatNobodyWrote) {
  profile_ = CaptureOn(
      [](ProgramHost& host) {
        const at::Tensor one = host.Persistent("one", BufferRole::kInput, {8}, at::kFloat);
        host.Phase("step", 1,
                   [&] { host.Mark(at::empty_like(one) + one, "sum", BufferRole::kOutput); });
      },
      runtime_);
  at::Tensor sum;
  Run(KeepAllPlan(profile_),
      {.iteration_count = 1,
       .poison = true,
       .on_result = [&](const Buffer&, const at::Tensor& value) { sum = value; }});
  EXPECT_TRUE(sum.isnan().all().item<bool>());
}

TEST_F(ExecutorTest, TellsProgressToTheEnd) {
  std::int64_t last_done = 0;
  std::int64_t total = 0;
  Run(KeepAllPlan(profile_),
      {.iteration_count = 2, .on_progress = [&](std::int64_t done, std::int64_t all) {
         EXPECT_EQ(done, last_done + 1);
         last_done = done;
         total = all;
       }});
  EXPECT_GT(total, 0);
  EXPECT_EQ(last_done, total);
}

/// Losses of a loop whose images are 0.1, 0.2, ... all over.
std::vector<float> LossesOf(const Profile& profile, const Plan& plan, DeviceRuntime& runtime,
                            std::int64_t iteration_count) {
  std::vector<float> losses;
  RunLoop(profile, plan, runtime, NamedValues(),
          {.iteration_count = iteration_count,
           .next_input =
               [](std::int64_t iteration, const Buffer& buffer, const at::Tensor& value) {
                 value.fill_(buffer.name == "lr" ? 0.01 : 0.1 * static_cast<double>(iteration + 1));
               },
           .on_output =
               [&](std::int64_t iteration, const Buffer& buffer, const at::Tensor& value) {
                 EXPECT_EQ(iteration, std::ssize(losses));
                 EXPECT_EQ(buffer.name, "loss");
                 losses.push_back(value.item<float>());
               }});
  return losses;
}

TEST_F(ExecutorTest, ALoopTakesNewInputsAndGivesTheOutputsOfEach) {
  const Plan plan = KeepAllPlan(profile_);
  const std::vector<float> losses = LossesOf(profile_, plan, runtime_, 4);
  ASSERT_EQ(losses.size(), 4U);
  // A shorter loop is its beginning; another input gives another loss.
  EXPECT_EQ(LossesOf(profile_, plan, runtime_, 1), std::vector<float>{losses[0]});
  EXPECT_NE(losses[0], losses[1]);
  EXPECT_EQ(runtime_.allocation_count, 0);
}

TEST_F(ExecutorTest, ALoopFindsInputsThatBeginOnTheHost) {
  const BufferId image = FindBuffer(profile_, "image", BufferRole::kInput);
  const Plan keep_all = KeepAllPlan(profile_);
  PlanBuilder builder(profile_, {image});
  builder.Fetch(image);
  for (const Instruction& instruction : keep_all.phases[0].body) {
    if (instruction.kind == InstructionKind::kFree) {
      builder.Free(*instruction.buffer);
    } else {
      builder.Compute(instruction.op);
    }
  }
  builder.Drop(image);
  EXPECT_EQ(LossesOf(profile_, builder.Finish(), runtime_, 3),
            LossesOf(profile_, keep_all, runtime_, 3));
}

TEST_F(ExecutorTest, LoadsEachPersistentBufferInItsOwnShape) {
  std::map<std::string, std::vector<std::int64_t>> sizes;
  Execute(profile_, KeepAllPlan(profile_), runtime_,
          [&](const Buffer& buffer, const at::Tensor& value) {
            EXPECT_TRUE(value.is_contiguous());
            sizes[buffer.name] = value.sizes().vec();
            value.zero_();
          },
          {.iteration_count = 1});
  EXPECT_EQ(sizes.at("conv.weight"), (std::vector<std::int64_t>{8, 4, 3, 3}));
  EXPECT_EQ(sizes.at("linear.weight"), (std::vector<std::int64_t>{16, 512}));
  EXPECT_EQ(sizes.at("lr"), (std::vector<std::int64_t>{}));
}

}  // namespace
}  // namespace stint
