#include "ir/effects.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/graphs.h"

namespace stint {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Value At(int buffer, std::int32_t version) {
  return {.buffer = static_cast<BufferId>(buffer), .version = version};
}

TEST(EffectsTest, CountsVersionsOfWritesInPlace) {
  const auto effects = DeriveEffects(fixtures::InPlace());

  EXPECT_THAT(effects[0].creates, ElementsAre(BufferId{2}));
  EXPECT_THAT(effects[1].reads, ElementsAre(At(0, 0), At(2, 0)));
  EXPECT_THAT(effects[1].writes, ElementsAre(At(2, 1)));
  EXPECT_THAT(effects[2].reads, ElementsAre(At(2, 1)));
  EXPECT_THAT(effects[3].writes, ElementsAre(At(1, 1)));
  EXPECT_TRUE(effects[2].is_recomputable);
  EXPECT_FALSE(effects[1].is_recomputable);
}

TEST(EffectsTest, RandomOpsAreNotRecomputable) {
  Profile profile = fixtures::Chain();
  profile.ops[1].random = {.seed = 0, .offset = 4};

  EXPECT_FALSE(DeriveEffects(profile)[1].is_recomputable);
}

TEST(EffectsTest, LeavesOutWorkspacesAndHostBuffers) {
  Profile profile = fixtures::Chain();
  profile.buffers[0].role = BufferRole::kWorkspace;
  profile.buffers[3].is_host = true;
  profile.ops[2].requests.clear();
  const auto effects = DeriveEffects(profile);

  EXPECT_THAT(effects[0].reads, IsEmpty());
  EXPECT_THAT(effects[2].creates, IsEmpty());
}

TEST(EffectsTest, VersionsAfterAPhaseCountOneRepetition) {
  const Profile profile = fixtures::Accumulation();  // Buffers x, w, a, g, a', a".

  EXPECT_THAT(VersionsAfter(profile, PhaseId{0}), ElementsAre(0, 0, 0, 0, -1, -1));
  EXPECT_THAT(VersionsAfter(profile, PhaseId{1}), ElementsAre(0, 0, 0, 1, 0, -1));
  EXPECT_THAT(VersionsAfter(profile, PhaseId{2}), ElementsAre(0, 1, 0, 2, 0, 0));
}

}  // namespace
}  // namespace stint
