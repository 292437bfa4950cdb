#include "executor/arena.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

namespace stint {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class ArenaTest : public testing::Test {
 protected:
  void* At(std::int64_t offset_bytes) { return memory_.data() + offset_bytes; }

  alignas(512) std::array<std::byte, 8192> memory_{};
  Arena arena_{memory_.data(), 8192, {{.size_bytes = 700, .offset_bytes = 4096}}};
};

TEST_F(ArenaTest, ServesScriptedRequestsAtTheirPlannedOffsets) {
  arena_.BeginOp(
      {{.size_bytes = 100, .offset_bytes = 1024}, {.size_bytes = 600, .offset_bytes = 0}}, "op");

  EXPECT_EQ(arena_.OnRequest(100), At(1024));
  EXPECT_EQ(arena_.OnRequest(600), At(0));
  // 512 | 512 + 1024
  EXPECT_THAT(arena_.EndOp(), ElementsAre(512, 1536));
  EXPECT_EQ(arena_.served().request_count, 2);
  EXPECT_EQ(arena_.served().mismatch_count, 0);
  EXPECT_EQ(arena_.highest_end_bytes(), 1536);
}

TEST_F(ArenaTest, CountsWhatIsGivenBackInsideAnOp) {
  arena_.BeginOp({{.size_bytes = 512, .offset_bytes = 0}, {.size_bytes = 512, .offset_bytes = 0}},
                 "op");

  void* first = arena_.OnRequest(512);
  arena_.OnFree(first);
  EXPECT_EQ(arena_.OnRequest(512), first);

  EXPECT_THAT(arena_.EndOp(), ElementsAre(512, 512));
  EXPECT_EQ(arena_.peak_bytes(), 512);
}

TEST_F(ArenaTest, KeptMemoryStaysWhenItIsGivenBack) {
  arena_.BeginOp({{.size_bytes = 512, .offset_bytes = 2048, .role = BufferRole::kActivation}},
                 "op");
  void* data = arena_.OnRequest(512);

  EXPECT_EQ(arena_.Keep(data), 2048);
  arena_.OnFree(data);
  arena_.EndOp();

  EXPECT_EQ(arena_.live_bytes(), 512);
  arena_.EndResidence(2048);
  EXPECT_EQ(arena_.live_bytes(), 0);
  EXPECT_EQ(arena_.peak_by_role().front().role, BufferRole::kActivation);
}

TEST_F(ArenaTest, NamesRequestsThatTheScriptLacks) {
  arena_.BeginOp({{.size_bytes = 512, .offset_bytes = 0}}, "aten::mm in attn1.to_q");

  EXPECT_EQ(arena_.OnRequest(300), nullptr);
  EXPECT_EQ(arena_.OnRequest(512), At(0));
  arena_.EndOp();

  ASSERT_EQ(arena_.served().foreign.size(), 1U);
  EXPECT_EQ(arena_.served().foreign[0].where, "aten::mm in attn1.to_q");
  EXPECT_EQ(arena_.served().foreign[0].size_bytes, 300);
  EXPECT_EQ(arena_.served().mismatch_count, 0);
}

TEST_F(ArenaTest, CountsScriptedRequestsThatNeverCome) {
  arena_.BeginOp({{.size_bytes = 512, .offset_bytes = 0}, {.size_bytes = 600, .offset_bytes = 512}},
                 "op");

  EXPECT_EQ(arena_.OnRequest(600), At(512));
  arena_.EndOp();

  EXPECT_EQ(arena_.served().mismatch_count, 1);
}

TEST_F(ArenaTest, DeclinesAPlaceThatIsStillTaken) {
  arena_.BeginResidence(512, 512, BufferRole::kWeight);
  arena_.BeginOp({{.size_bytes = 1024, .offset_bytes = 0}}, "op");

  EXPECT_EQ(arena_.OnRequest(1024), nullptr);
  arena_.EndOp();

  EXPECT_EQ(arena_.served().foreign.size(), 1U);
}

TEST_F(ArenaTest, ServesALibraryWorkspaceOnceAndOutsideTheScript) {
  arena_.BeginOp({{.size_bytes = 512, .offset_bytes = 0}}, "op");

  EXPECT_EQ(arena_.OnRequest(700), At(4096));
  EXPECT_EQ(arena_.OnRequest(512), At(0));
  EXPECT_EQ(arena_.OnRequest(700), nullptr);

  EXPECT_THAT(arena_.EndOp(), ElementsAre(512));
  EXPECT_EQ(arena_.served().mismatch_count, 0);
}

TEST_F(ArenaTest, LeavesRequestsOutsideOfOpsAlone) {
  EXPECT_EQ(arena_.OnRequest(512), nullptr);
  EXPECT_THAT(arena_.served().foreign, IsEmpty());
}

TEST_F(ArenaTest, PeakSinceTheLastLookBeginsWithWhatIsLive) {
  arena_.BeginResidence(0, 512, BufferRole::kWeight);
  arena_.BeginResidence(512, 512, BufferRole::kWeight);
  arena_.EndResidence(512);

  BytesByRole weights{};
  weights[static_cast<std::size_t>(BufferRole::kWeight)] = 1024;
  EXPECT_EQ(arena_.TakePeak(), weights);
  weights[static_cast<std::size_t>(BufferRole::kWeight)] = 512;
  EXPECT_EQ(arena_.TakePeak(), weights);
}

TEST_F(ArenaTest, RefusesOverlappingResidences) {
  arena_.BeginResidence(0, 1000, BufferRole::kWeight);
  EXPECT_THROW(arena_.BeginResidence(512, 512, BufferRole::kWeight), std::logic_error);
  EXPECT_THROW(arena_.EndResidence(512), std::logic_error);
}

TEST_F(ArenaTest, HostScalarsMadeOnTheDeviceHaveTheirOwnPlacesAndAreNotForeign) {
  Arena arena(memory_.data(), 1024, {}, At(4096));
  arena.BeginOp({{.size_bytes = 512, .offset_bytes = 0}}, "attention", /*host_scalar_count=*/2);
  EXPECT_EQ(arena.OnRequest(512), memory_.data());
  EXPECT_EQ(arena.OnRequest(8), At(4096 + Arena::kHostScalarBytes));
  EXPECT_EQ(arena.OnRequest(8), At(4096));
  EXPECT_EQ(arena.OnRequest(8), nullptr) << "one more than there are";
  arena.OnFree(At(4096));
  arena.EndOp();
  EXPECT_EQ(arena.served().request_count, 1);
  EXPECT_EQ(arena.served().foreign.size(), 1U);
  EXPECT_EQ(arena.peak_bytes(), 512);
}

}  // namespace
}  // namespace stint
