#include "planner/arena.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ir/effects.h"
#include "planner/schedule.h"
#include "tests/support/graphs.h"

namespace stint {
namespace {

using ::testing::ElementsAre;

TEST(PlaceInArenaTest, LetsARequestTakeThePlaceOfOneThatDied) {
  // Requests of one op: 0 and 1 die after request 1, so 2 may lie where they did.
  fixtures::GraphBuilder graph;
  const BufferId x = graph.Persistent("x", BufferRole::kInput, 512);
  graph.Run("test::A", {x}, {}, {.workspace_sizes_bytes = {1024, 1024, 2048}}, 1);
  graph.EndPhase("step");
  for (const std::size_t i : {0, 1}) {
    graph.profile().ops[0].requests[i].freed_after_request = 1;
  }
  const Profile profile = graph.Build();
  const Program program = MakeProgram(profile, DeriveEffects(profile));
  Schedule schedule = KeepAllSchedule(profile, program);

  const Arena arena = PlaceInArena(profile, program, schedule);

  EXPECT_EQ(arena.peak_bytes, 512 + 2048);
  EXPECT_EQ(arena.arena_bytes, 512 + 2048);
  EXPECT_EQ(arena.initial[0].offset_bytes, 0);
  EXPECT_EQ(schedule.phases[0].body[0].request_offsets[2], 512);
}

TEST(PlaceInArenaTest, LeavesRoomForADiscardedOutputOnlyDuringItsOp) {
  fixtures::GraphBuilder graph;
  const BufferId x = graph.Persistent("x", BufferRole::kInput, 512);
  graph.Make("test::A", {x}, 1024, 1);
  graph.Make("test::B", {x}, 1024, 1);
  graph.EndPhase("step");
  const Profile profile = graph.Build();
  const Program program = MakeProgram(profile, DeriveEffects(profile));
  Schedule schedule = KeepAllSchedule(profile, program);

  const Arena arena = PlaceInArena(profile, program, schedule);

  EXPECT_EQ(arena.arena_bytes, 512 + 1024);
  EXPECT_THAT(schedule.phases[0].body[0].request_offsets, ElementsAre(512));
  EXPECT_THAT(schedule.phases[0].body[1].request_offsets, ElementsAre(512));
}

}  // namespace
}  // namespace stint
