#include "executor/copy_waits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/graphs.h"

namespace stint {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

MATCHER_P2(IsWait, stream, instruction, "") {
  return arg.stream == stream && arg.instruction == static_cast<std::size_t>(instruction);
}

Instruction Compute(std::int32_t op, std::vector<std::int64_t> request_offsets) {
  return {.kind = InstructionKind::kCompute,
          .op = OpId(op),
          .request_offsets = std::move(request_offsets)};
}
Instruction About(InstructionKind kind, std::int32_t buffer, std::int64_t offset_bytes = 0) {
  return {.kind = kind, .buffer = BufferId(buffer), .offset_bytes = offset_bytes};
}

/// Waits of a body over the chain x 512 -A-> a 1024 -B-> b 2048 (workspace 512) -C-> c 512; x is at
/// 0, and the ops' requests are where the tests say.
std::vector<InstructionWaits> WaitsOf(const std::vector<Instruction>& body) {
  const Profile profile = fixtures::Chain();
  Plan plan = {.initial = {{.buffer = BufferId{0}, .offset_bytes = 0}},
               .host = {{.buffer = BufferId{0}}, {.buffer = BufferId{1}, .offset_bytes = 512}},
               .phases = {{.body = body}}};
  return DeriveWaits(profile, plan).at(1).instructions;
}

TEST(CopyWaitsTest, WithoutCopiesNobodyWaits) {
  const auto waits = WaitsOf({Compute(0, {512}), Compute(1, {1536, 3584}), Compute(2, {4096})});
  for (const InstructionWaits& own : waits) {
    EXPECT_THAT(own.waits, IsEmpty());
    EXPECT_FALSE(own.is_awaited);
  }
}

TEST(CopyWaitsTest, AnOffloadWaitsForTheComputeBeforeIt) {
  const auto waits = WaitsOf({Compute(0, {512}), About(InstructionKind::kOffload, 1)});
  EXPECT_THAT(waits[1].waits, ElementsAre(IsWait(Stream::kCompute, 0)));
  EXPECT_TRUE(waits[0].is_awaited);
  EXPECT_EQ(waits[0].count, 1);
  EXPECT_EQ(waits[1].offset_bytes, 512);
}

TEST(CopyWaitsTest, AFetchWaitsForTheOffloadAndTheReaderForTheFetch) {
  // a leaves and comes back elsewhere; nothing takes its old place.
  const auto waits = WaitsOf({Compute(0, {512}), About(InstructionKind::kOffload, 1),
                              About(InstructionKind::kFetch, 1, 4096), Compute(1, {5120, 7168})});
  // The offload came after op 0, so the fetch need not wait for op 0 itself.
  EXPECT_THAT(waits[2].waits, ElementsAre(IsWait(Stream::kToHost, 1)));
  EXPECT_THAT(waits[3].waits, ElementsAre(IsWait(Stream::kToDevice, 2)));
}

TEST(CopyWaitsTest, ARequestWaitsForTheOffloadThatStillReadsItsPlace) {
  // x is offloaded after its only use; b lands where x was.
  const auto waits = WaitsOf({Compute(0, {512}), About(InstructionKind::kOffload, 0),
                              Compute(1, {0 + 4096, 0}), Compute(2, {2048 + 8192})});
  EXPECT_THAT(waits[2].waits, ElementsAre(IsWait(Stream::kToHost, 1)));
  EXPECT_THAT(waits[3].waits, IsEmpty());
}

TEST(CopyWaitsTest, AFetchWaitsForTheLastUserOfItsPlaceAndForOffloadsFromThere) {
  // a and x leave; x comes back to where a was: after the offload of a.
  const auto waits =
      WaitsOf({Compute(0, {512}), About(InstructionKind::kOffload, 0),
               About(InstructionKind::kOffload, 1), About(InstructionKind::kFetch, 0, 512)});
  EXPECT_THAT(waits[3].waits, ElementsAre(IsWait(Stream::kToHost, 2)));
  EXPECT_FALSE(waits[1].is_awaited);  // Done when the one after it is.
}

TEST(CopyWaitsTest, WhatIsKnownIsNotAwaitedAgain) {
  const auto waits =
      WaitsOf({About(InstructionKind::kOffload, 0), About(InstructionKind::kFetch, 0, 0),
               Compute(0, {512}), Compute(0, {1536}), About(InstructionKind::kFree, 0)});
  EXPECT_THAT(waits[0].waits, IsEmpty());
  EXPECT_THAT(waits[1].waits, ElementsAre(IsWait(Stream::kToHost, 0)));
  EXPECT_THAT(waits[2].waits, ElementsAre(IsWait(Stream::kToDevice, 1)));
  EXPECT_THAT(waits[3].waits, IsEmpty());
  EXPECT_THAT(waits[4].waits, IsEmpty());
}

TEST(CopyWaitsTest, APlaceIsNobodysOnlyWhenAnUnreadFetchIsOver) {
  const auto waits =
      WaitsOf({About(InstructionKind::kOffload, 0), About(InstructionKind::kFetch, 0, 0),
               About(InstructionKind::kDrop, 0)});
  EXPECT_THAT(waits[2].waits, ElementsAre(IsWait(Stream::kToDevice, 1)));
}

}  // namespace
}  // namespace stint
