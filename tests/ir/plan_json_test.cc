#include <gtest/gtest.h>

#include <string>

#include "ir/errors.h"
#include "ir/plan.h"
#include "tests/support/graphs.h"
#include "tests/support/plans.h"

namespace stint {
namespace {

/// The first `from` in the text of Chain's plan, replaced; what reading that says.
std::string Refusal(const std::string& from, const std::string& to) {
  std::string text = ToJson(fixtures::KeepAllPlan(fixtures::Chain()));
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  text.replace(at, from.size(), to);
  try {
    PlanFromJson(text, "q.json");
    return {};
  } catch (const InputError& error) {
    return error.what();
  }
}

TEST(PlanJsonTest, EveryKindOfInstructionSurvives) {
  Plan plan = fixtures::KeepAllPlan(fixtures::Chain());
  plan.shards = {{.name = "s", .size_bytes = 512, .members = {{.buffer = BufferId{0}}}}};
  plan.phases[0].epilogue = {
      {.kind = InstructionKind::kCompute, .op = OpId{1}, .discards = {BufferId{2}}},
      {.kind = InstructionKind::kFree, .buffer = BufferId{0}},
      {.kind = InstructionKind::kOffload, .shard = ShardId{0}},
      {.kind = InstructionKind::kFetch, .buffer = BufferId{1}, .offset_bytes = 0},
      {.kind = InstructionKind::kFetch, .shard = ShardId{0}, .offset_bytes = 512},
      {.kind = InstructionKind::kDrop, .buffer = BufferId{1}}};
  const std::string text = ToJson(plan);

  EXPECT_EQ(ToJson(PlanFromJson(text, "text")), text);
}

TEST(PlanJsonTest, InstructionsHaveTheFieldsOfTheirKind) {
  EXPECT_EQ(Refusal("\"compute\", \"op\": 0", "\"compute\""),
            "q.json:/phases/0/body/0: is a compute, which lacks \"op\"");
  EXPECT_EQ(Refusal("\"free\"", "\"fetch\""),
            "q.json:/phases/0/body/2: is a fetch, which lacks \"offset_bytes\"");
  EXPECT_EQ(Refusal("\"free\"", "\"free\", \"op\": 0"),
            "q.json:/phases/0/body/2: is a free, which has no \"op\"");
  EXPECT_EQ(Refusal("\"free\", \"buffer\"", "\"free\", \"shard\""),
            "q.json:/phases/0/body/2: is a free, which takes a buffer and no shard");
  EXPECT_EQ(Refusal("{\"kind\": \"free\", \"buffer\": 1}", "{\"kind\": \"drop\"}"),
            "q.json:/phases/0/body/2: needs a buffer or a shard, and not both");
  EXPECT_EQ(Refusal("\"free\", \"buffer\": 1", "\"free\", \"buffer\": -1"),
            "q.json:/phases/0/body/2: has a negative id");
}

TEST(PlanJsonTest, OffsetsAreMultiplesOf512) {
  EXPECT_EQ(
      Refusal("[512]", "[513]"),
      "q.json:/phases/0/body/0: has a request offset that is no multiple of 512 in [0, 2^60]");
  EXPECT_EQ(Refusal("\"offset_bytes\": 0", "\"offset_bytes\": -512"),
            "q.json:/initial/0: offset_bytes -512 is no multiple of 512 in [0, 2^60]");
}

TEST(PlanJsonTest, RefusesAHeadThatIsNone) {
  EXPECT_EQ(Refusal("\"profile_sha256\": \"", "\"profile_sha256\": \"0"),
            "q.json:/made_from/profile_sha256: is no SHA-256 of 64 hexadecimal digits");
  EXPECT_EQ(Refusal("\"arena_bytes\": 4096", "\"arena_bytes\": -1"),
            "q.json:/arena_bytes: -1 is not in [0, 2^60]");
  EXPECT_EQ(Refusal("\"seed\": 0", "\"sead\": 0"), "q.json:/made_from/sead: is an unknown key");
}

}  // namespace
}  // namespace stint
