#include "planner/bounds.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ir/effects.h"
#include "tests/support/graphs.h"

namespace stint {
namespace {

using ::testing::HasSubstr;

Bounds BoundsOf(const Profile& profile) {
  return ProveBounds(profile, MakeProgram(profile, DeriveEffects(profile)));
}

TEST(ProveBoundsTest, CountsWhatTheLargestOpFinds) {
  const Bounds bounds = BoundsOf(fixtures::Chain());

  // x 512 + a 1024 + b 2048 + workspace 512 at B; A and C find less.
  EXPECT_EQ(bounds.budget_bytes, 512 + 1024 + 2048 + 512);
  EXPECT_EQ(bounds.binding_op, 1);
  EXPECT_EQ(bounds.duration_ns, 1 + 2 + 4);
}

TEST(ProveBoundsTest, NamesTheOpAndItsLargestBuffers) {
  const Bounds bounds = BoundsOf(fixtures::Chain());

  EXPECT_THAT(bounds.binding, HasSubstr("op 1 (test::B)"));
  EXPECT_THAT(bounds.binding, HasSubstr("its largest buffers: activation 2 of 2.00 KiB"));
}

TEST(ProveBoundsTest, CountsValuesThatCannotBeMadeAgain) {
  // r is drawn at random, lives across B, and takes part in B's need although B does not read it.
  fixtures::GraphBuilder graph;
  const BufferId x = graph.Persistent("x", BufferRole::kInput, 512);
  const BufferId r = graph.Make("test::random", {x}, 4096, 1);
  graph.profile().ops.back().random = RandomSource{};
  const BufferId b = graph.Make("test::B", {x}, 2048, 1);
  graph.Make("test::C", {r, b}, 512, 1);
  graph.EndPhase("step");

  // At C: x 512 + r 4096 + b 2048 + c 512. At B: x 512 + r 4096 + b 2048.
  EXPECT_EQ(BoundsOf(graph.Build()).budget_bytes, 512 + 4096 + 2048 + 512);

  graph.profile().ops[1].requests[0].size_bytes = 8192;
  graph.profile().buffers[Index(b)].size_bytes = 8192;
  graph.profile().ops[2].arguments.clear();
  graph.profile().ops[2].arguments.push_back(TensorArgument{.tensor = graph.WholeOf(r)});
  graph.profile().tensors[Index(graph.WholeOf(b))].sizes = {8192};

  // At B, which does not read r: x 512 + r 4096 + b 8192.
  const Bounds bounds = BoundsOf(graph.Build());
  EXPECT_EQ(bounds.budget_bytes, 512 + 4096 + 8192);
  EXPECT_THAT(bounds.binding, HasSubstr("4.00 KiB of values that cannot be made again"));
}

TEST(ProveBoundsTest, CountsRepetitions) {
  // first 2 ops x1, middle 2 ops x3, last 3 ops x1; 1 ns each.
  EXPECT_EQ(BoundsOf(fixtures::Accumulation()).duration_ns, 2 + 3 * 2 + 3);
}

}  // namespace
}  // namespace stint
