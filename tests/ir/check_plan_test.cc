#include "ir/check_plan.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "ir/errors.h"
#include "tests/support/graphs.h"
#include "tests/support/plans.h"

namespace stint {
namespace {

std::string Refusal(const Profile& profile, const Plan& plan) {
  try {
    CheckPlan(profile, plan, "q.json");
    return {};
  } catch (const InputError& error) {
    return error.what();
  }
}

/// What CheckPlan says of the keep-all plan of `profile` after `spoil` has changed its first body.
std::string Refusal(const Profile& profile,
                    const std::function<void(Plan&, std::vector<Instruction>&)>& spoil) {
  Plan plan = fixtures::KeepAllPlan(profile);
  spoil(plan, plan.phases[0].body);
  return Refusal(profile, plan);
}

Instruction About(InstructionKind kind, int buffer) {
  return {.kind = kind, .buffer = static_cast<BufferId>(buffer)};
}

// Chain's plan. Peak and arena are 4096: a 1024 + b 2048 + workspace 512 + x 512.
//
//     x [0, 512)
//     0 compute A   a [512, 1536)
//     1 compute B   b [1536, 3584), workspace [3584, 4096)
//     2 free a
//     3 compute C   c [512, 1024)
//     4 free b

TEST(CheckPlanTest, NamesTheDeadValueThatIsRead) {
  EXPECT_EQ(Refusal(fixtures::Chain(), [](Plan&, auto& body) { std::swap(body[2], body[1]); }),
            "q.json:/phases/0/body/2: reads buffer 1, which is not resident");
}

TEST(CheckPlanTest, NamesTheVersionThatIsRead) {
  // InPlace: 0 A -> a@0, 1 add_ -> a@1, 2 B reads a@1.
  EXPECT_EQ(Refusal(fixtures::InPlace(), [](Plan&, auto& body) { std::swap(body[1], body[2]); }),
            "q.json:/phases/0/body/1: reads version 1 of buffer 2, which holds version 0");
}

TEST(CheckPlanTest, NamesWhatOverlaps) {
  EXPECT_EQ(Refusal(fixtures::Chain(), [](Plan&, auto& body) { body[0].request_offsets = {0}; }),
            "q.json:/phases/0/body/0: request 0 of 1024 bytes at 0 overlaps buffer 0 (x)");
  EXPECT_EQ(
      Refusal(fixtures::Chain(), [](Plan&, auto& body) { body[1].request_offsets[1] = 3072; }),
      "q.json:/phases/0/body/1: request 1 of 512 bytes at 3072 overlaps request 0 of the "
      "same op");
}

TEST(CheckPlanTest, OpsRunInTheBodyOfTheirPhase) {
  EXPECT_EQ(
      Refusal(fixtures::ChainWithBackward(), [](Plan&, auto& body) { body.erase(body.end() - 2); }),
      "q.json:/phases/0/body: lacks op 7 (test::U)");
  EXPECT_EQ(Refusal(fixtures::InPlace(),
                    [](Plan&, auto& body) { body.insert(body.begin() + 2, body[1]); }),
            "q.json:/phases/0/body/2: runs an op again that writes in place");
  EXPECT_EQ(
      Refusal(fixtures::InPlace(),
              [](Plan& plan, auto& body) { plan.phases[0].prologue = {body[1]}; }),
      "q.json:/phases/0/prologue/0: runs an op outside its phase's body that writes in place");
}

TEST(CheckPlanTest, WhatIsResidentIsNotKeptAgain) {
  EXPECT_EQ(Refusal(fixtures::Chain(),
                    [](Plan&, auto& body) {
                      body.insert(body.begin() + 1, body[0]);
                      body[1].request_offsets = {1536};
                    }),
            "q.json:/phases/0/body/1: keeps buffer 1, which is resident already");
}

TEST(CheckPlanTest, DiscardsAreOutputs) {
  EXPECT_EQ(Refusal(fixtures::Chain(), [](Plan&, auto& body) { body[0].discards = {BufferId{3}}; }),
            "q.json:/phases/0/body/0: discards a buffer that its op does not create");
}

TEST(CheckPlanTest, DropsAndFetchesNeedTheHost) {
  EXPECT_EQ(Refusal(fixtures::Chain(),
                    [](Plan&, auto& body) { body[2] = About(InstructionKind::kDrop, 1); }),
            "q.json:/phases/0/body/2: drops buffer 1, whose version 0 is not on the host");
  EXPECT_EQ(Refusal(fixtures::Chain(),
                    [](Plan&, auto& body) { body[2] = About(InstructionKind::kOffload, 1); }),
            "q.json:/phases/0/body/2: offloads buffer 1, which has no place on the host");
  EXPECT_EQ(Refusal(fixtures::Chain(),
                    [](Plan&, auto& body) { body.push_back(About(InstructionKind::kFetch, 2)); }),
            "q.json:/phases/0/body/5: fetches buffer 2, which is not on the host");
}

TEST(CheckPlanTest, NothingIsFreedTwice) {
  EXPECT_EQ(Refusal(fixtures::Chain(), [](Plan&, auto& body) { body.push_back(body[4]); }),
            "q.json:/phases/0/body/5: ends the residence of buffer 2, which is not resident");
}

TEST(CheckPlanTest, TheIterationEndsAsItBegan) {
  EXPECT_EQ(Refusal(fixtures::Chain(),
                    [](Plan&, auto& body) { body.push_back(About(InstructionKind::kFree, 0)); }),
            "q.json:/phases: end, but buffer 0 (x) is not resident in its last version");
  EXPECT_EQ(Refusal(fixtures::Chain(),
                    [](Plan&, auto& body) { body.push_back(About(InstructionKind::kFree, 3)); }),
            "q.json:/phases: end, but buffer 3 is an output and not resident");
  EXPECT_EQ(Refusal(fixtures::Chain(), [](Plan& plan, auto&) { plan.initial.clear(); }),
            "q.json:/initial: lacks buffer 0 (x), which has no place on the host either");
}

TEST(CheckPlanTest, ARepetitionEndsAsItBegan) {
  // Accumulation's middle phase: 0 compute A, 1 compute G, 2 free a'.
  EXPECT_EQ(
      Refusal(fixtures::Accumulation(), [](Plan& plan, auto&) { plan.phases[1].body.pop_back(); }),
      "q.json:/phases/1/body: repeats, but buffer 4 is resident only at its end");
}

TEST(CheckPlanTest, AWrittenBufferMustReachTheHostInEachRepetition) {
  const Profile profile = fixtures::Accumulation();
  fixtures::Draft draft = fixtures::KeepAllDraft(profile);
  draft.host = {BufferId{3}};
  draft.phases[1].prologue = {About(InstructionKind::kOffload, 3)};
  auto& body = draft.phases[1].body;
  body.insert(body.begin() + 1, About(InstructionKind::kFetch, 3));
  body.insert(body.begin() + 3, About(InstructionKind::kOffload, 3));
  draft.phases[1].epilogue = {About(InstructionKind::kFetch, 3)};
  Plan plan = fixtures::Place(profile, draft);
  EXPECT_EQ(Refusal(profile, plan), "");

  plan.phases[1].body[3].kind = InstructionKind::kFree;
  EXPECT_EQ(Refusal(profile, plan),
            "q.json:/phases/1/body: repeats, but buffer 3 (w) is not on the host as the next "
            "repetition expects");
}

TEST(CheckPlanTest, TheHeadIsThatOfTheInstructions) {
  EXPECT_EQ(Refusal(fixtures::Chain(), [](Plan& plan, auto&) { plan.peak_bytes = 512; }),
            "q.json:/peak_bytes: is 512, but its instructions give 4096");
  EXPECT_EQ(Refusal(fixtures::Chain(), [](Plan& plan, auto&) { plan.arena_bytes = 512; }),
            "q.json:/arena_bytes: is 512, but its instructions give 4096");
  EXPECT_EQ(Refusal(fixtures::Chain(), [](Plan& plan, auto&) { plan.duration_ns = 8; }),
            "q.json:/duration_ns: is 8, but its instructions give 7");
  EXPECT_EQ(Refusal(fixtures::Chain(), [](Plan& plan, auto&) { plan.host_bytes = 512; }),
            "q.json:/host_bytes: is 512, but its places end at 0");
  EXPECT_EQ(Refusal(fixtures::Chain(), [](Plan& plan, auto&) { plan.lower_bound_ns = 8; }),
            "q.json:/lower_bound_ns: is above the plan's own duration");
  EXPECT_EQ(Refusal(fixtures::Chain(), [](Plan& plan, auto&) { plan.overhead_bytes = 1; }),
            "q.json:/made_from/budget_bytes: is 4096, but arena and overhead take 4097");
}

TEST(CheckPlanTest, ASaveCopiesAllStateAndNothingElse) {
  // InPlace writes s, which is persistent, and a, which is not.
  const auto refusal = [](const std::vector<Placement>& snapshot, std::int64_t snapshot_bytes) {
    return Refusal(fixtures::InPlace(), [&](Plan& plan, auto&) {
      plan.snapshot = snapshot;
      plan.snapshot_bytes = snapshot_bytes;
    });
  };
  const Placement s = {.buffer = BufferId{1}};
  EXPECT_EQ(refusal({s}, 512), "");
  EXPECT_EQ(refusal({s}, 1024), "q.json:/snapshot_bytes: is 1024, but its places end at 512");
  EXPECT_EQ(refusal({{.buffer = BufferId{0}}, s}, 512),
            "q.json:/snapshot/0: buffer 0 (x) is not state: persistent and written");
  EXPECT_EQ(refusal({s, {.buffer = BufferId{2}}}, 512),
            "q.json:/snapshot/1: buffer 2 is not state: persistent and written");
  EXPECT_EQ(refusal({{.buffer = BufferId{77}}}, 512),
            "q.json:/snapshot/0: is no buffer of the profile");

  // x is written, too, by the last op.
  Profile profile = fixtures::InPlace();
  profile.ops.back().writes.push_back(BufferId{0});
  Plan plan = fixtures::KeepAllPlan(profile);
  plan.snapshot = {s};
  plan.snapshot_bytes = 512;
  EXPECT_EQ(Refusal(profile, plan), "q.json:/snapshot: lacks buffer 0 (x)");
  plan.snapshot = {{.buffer = BufferId{0}}, s};
  EXPECT_EQ(Refusal(profile, plan), "q.json:/snapshot/1: overlaps another place of the snapshot");
}

TEST(CheckPlanTest, PoolAndSnapshotFitTheHostBudget) {
  EXPECT_EQ(Refusal(fixtures::InPlace(),
                    [](Plan& plan, auto&) {
                      plan.snapshot = {{.buffer = BufferId{1}}};
                      plan.snapshot_bytes = 512;
                      plan.host_budget_bytes = 511;
                    }),
            "q.json:/made_from/host_budget_bytes: is 511, but the pool takes 0 and the snapshot "
            "512");
}

TEST(CheckPlanTest, ThePlanIsOfThisProfile) {
  Profile other = fixtures::Chain();
  other.ops[0].duration_ns = 2;

  EXPECT_EQ(Refusal(other, fixtures::KeepAllPlan(fixtures::Chain())),
            "q.json:/made_from/profile_sha256: is another profile than the one given");
}

TEST(CheckPlanTest, LibraryWorkspacesStayWhereTheyAre) {
  Profile profile = fixtures::Chain();
  profile.buffers.push_back({.name = "cublas",
                             .role = BufferRole::kWorkspace,
                             .size_bytes = 1024,
                             .is_persistent = true});
  EXPECT_EQ(Refusal(profile, fixtures::KeepAllPlan(profile)), "");
  EXPECT_EQ(
      Refusal(profile, [](Plan&, auto& body) { body.push_back(About(InstructionKind::kFree, 4)); }),
      "q.json:/phases/0/body/5: moves buffer 4 (cublas), which is a library's");
}

TEST(CheckPlanTest, RecomputingTradesTimeForMemory) {
  // ChainWithBackward: a is freed after F1 (op 1) and computed again before G1 (op 5).
  const Profile profile = fixtures::ChainWithBackward();
  fixtures::Draft draft = fixtures::KeepAllDraft(profile);
  auto& body = draft.phases[0].body;
  const Plan keep_all = fixtures::Place(profile, draft);
  std::size_t g1 = 0;
  while (body[g1].kind != InstructionKind::kCompute || body[g1].op != OpId{5}) ++g1;
  body.insert(body.begin() + static_cast<long>(g1), {.kind = InstructionKind::kCompute});
  body.insert(body.begin() + 2, About(InstructionKind::kFree, 2));
  const Plan plan = fixtures::Place(profile, draft);

  EXPECT_EQ(Refusal(profile, plan), "");
  EXPECT_EQ(plan.duration_ns, keep_all.duration_ns + 1);
  // At G2 keep-all holds x, w, a, b, c, loss, p and the workspace; now all but a.
  EXPECT_EQ(keep_all.peak_bytes, 512 + 512 + 4 * 1024 + 512 + 512);
  EXPECT_EQ(plan.peak_bytes, keep_all.peak_bytes - 1024);
}

}  // namespace
}  // namespace stint
