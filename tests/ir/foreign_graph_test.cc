// Small graphs of our own in each of the foreign formats.
#include "ir/foreign_graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "ir/effects.h"
#include "ir/errors.h"
#include "tests/support/foreign_texts.h"

namespace stint {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::vector<std::string> NamesOf(const Profile& profile) {
  std::vector<std::string> names{};
  for (const Op& op : profile.ops) names.push_back(op.name);
  return names;
}

std::vector<std::int64_t> DurationsOf(const Profile& profile) {
  std::vector<std::int64_t> durations_ns{};
  for (const Op& op : profile.ops) durations_ns.push_back(op.duration_ns);
  return durations_ns;
}

std::vector<std::int32_t> ReadsOf(const Profile& profile, std::size_t op) {
  std::vector<std::int32_t> buffers{};
  const std::vector<OpEffects> effects = DeriveEffects(profile);
  for (const Value& value : effects[op].reads) {
    buffers.push_back(static_cast<std::int32_t>(value.buffer));
  }
  return buffers;
}

std::string Replaced(std::string text, const std::string& what, const std::string& by) {
  const std::size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), by);
}

/// The line for a graph that cannot be read.
std::string RefusalOf(const std::string& text, const ForeignOptions& options = {}) {
  try {
    ForeignGraphFromText(text, "graph", options);
  } catch (const InputError& error) {
    return error.what();
  }
  return "was read";
}

TEST(ForeignGraphTest, NodeLinkGraphComesInTopologicalOrderFirstComeFirstServed) {
  // Links: a -> c, b -> c, a -> d, c -> e, d -> e. Sources a, b; then c (by b's link), d, e.
  const Profile profile = ForeignGraphFromText(fixtures::kNodeLinkGraph, "graph");

  EXPECT_THAT(NamesOf(profile),
              ElementsAre("foreign::a", "foreign::b", "foreign::d", "foreign::c", "foreign::e"));
  EXPECT_THAT(DurationsOf(profile), ElementsAre(5, 6, 8, 7, 10));  // 9.6 is rounded.
  EXPECT_THAT(ReadsOf(profile, 4), ElementsAre(2, 3));
  EXPECT_EQ(profile.buffers[3].size_bytes, 300);
  EXPECT_EQ(profile.buffers[3].role, BufferRole::kActivation);
  EXPECT_EQ(profile.buffers[4].role, BufferRole::kOutput);  // Nothing reads e.
  EXPECT_TRUE(profile.ops[4].is_backward);
}

TEST(ForeignGraphTest, NodeLinkGraphKeepsTheOrderItGives) {
  const Profile profile = ForeignGraphFromText(fixtures::kRandomLayeredGraph, "graph");

  EXPECT_THAT(NamesOf(profile),
              ElementsAre("foreign::0", "foreign::3", "foreign::2", "foreign::1"));
  EXPECT_EQ(profile.buffers[1].size_bytes, 30 * 512);  // Sizes without a unit.
}

TEST(ForeignGraphTest, NodeLinkGraphMayGiveNoOrderThatBreaksALink) {
  EXPECT_EQ(RefusalOf(Replaced(fixtures::kRandomLayeredGraph, "[0, 3, 2, 1]", "[0, 3, 1, 2]")),
            "graph:/graph/order: node 1 comes before node 2, which it needs");
  EXPECT_EQ(RefusalOf(Replaced(fixtures::kRandomLayeredGraph, "[0, 3, 2, 1]", "[0, 3, 2]")),
            "graph:/graph/order: has 3 of 4 nodes");
  EXPECT_EQ(RefusalOf(Replaced(fixtures::kRandomLayeredGraph, "[0, 3, 2, 1]", "[0, 3, 3, 2, 1]")),
            "graph:/graph/order: node 3 comes twice");
}

TEST(ForeignGraphTest, NodeLinkGraphWithHolesIsRefused) {
  const std::string text = fixtures::kNodeLinkGraph;
  EXPECT_EQ(RefusalOf(Replaced(text, "\"source\": 3", "\"source\": 4")),
            "graph:/links: make a cycle: only 4 of 5 nodes can be put in order");
  EXPECT_EQ(RefusalOf(Replaced(text, "\"source\": 3", "\"source\": 33")),
            "graph:/links/4: there is no node 33");
  EXPECT_EQ(RefusalOf(Replaced(text, "\"cost_ram\": 100", "\"cost_ram\": -100")),
            "graph:/nodes/0/cost_ram: is negative");
  EXPECT_EQ(RefusalOf(Replaced(text, "\"cost_ram\": 100", "\"cost_ram\": 1e300")),
            "graph:/nodes/0/cost_ram: is more than 2^50");
  EXPECT_EQ(RefusalOf(Replaced(text, "\"cost_ram\": 100, ", "")),
            "graph:/nodes/0: lacks its bytes: \"cost_ram\" or \"out_cost\"");
  EXPECT_EQ(RefusalOf(Replaced(text, "\"id\": 1}", "\"id\": 0}")),
            "graph:/nodes/1: is a second node 0");
  EXPECT_EQ(RefusalOf("{\"nodes\": [], \"links\": []}"), "graph: holds no op");
}

TEST(ForeignGraphTest, DtrLogMakesMutationsNewStorages) {
  // w, x -> conv -> y, s; relu_ changes y; view of it; loss reads the view.
  const Profile profile = ForeignGraphFromText(fixtures::kDtrLog, "log");

  EXPECT_THAT(NamesOf(profile), ElementsAre("foreign::conv", "foreign::relu_", "foreign::view",
                                            "foreign::loss", "foreign::loss_backward"));
  EXPECT_THAT(DurationsOf(profile), ElementsAre(40, 10, 1, 5, 6));
  // Buffers: 0 w, 1 x, 2 conv's outputs together, 3 the changed y, 4 loss, 5 gradient.
  ASSERT_EQ(profile.buffers.size(), 6U);
  EXPECT_TRUE(profile.buffers[0].is_persistent);
  EXPECT_EQ(profile.buffers[2].size_bytes, 4096 + 512);
  EXPECT_EQ(profile.buffers[3].size_bytes, 4096);
  EXPECT_THAT(ReadsOf(profile, 1), ElementsAre(2));
  EXPECT_THAT(ReadsOf(profile, 3), ElementsAre(3));  // Through the view.
  for (const OpEffects& effects : DeriveEffects(profile)) EXPECT_TRUE(effects.is_recomputable);
  EXPECT_FALSE(profile.ops[3].is_backward);
  EXPECT_TRUE(profile.ops[4].is_backward);
}

TEST(ForeignGraphTest, DtrLogKeepsOnlyUnreadValuesThatStillHaveAName) {
  const Profile profile = ForeignGraphFromText(fixtures::kDtrLog, "log");

  // y is named at the end, but was read; the gradient is named and was not; the loss was released.
  EXPECT_EQ(profile.buffers[3].role, BufferRole::kActivation);
  EXPECT_EQ(profile.buffers[4].role, BufferRole::kActivation);
  EXPECT_EQ(profile.buffers[5].role, BufferRole::kOutput);
}

TEST(ForeignGraphTest, DtrLogCanKeepOutputsApart) {
  const Profile profile =
      ForeignGraphFromText(fixtures::kDtrLog, "log", {.has_separate_outputs = true});

  ASSERT_EQ(profile.buffers.size(), 7U);
  EXPECT_EQ(profile.buffers[2].size_bytes, 4096);
  EXPECT_EQ(profile.buffers[3].size_bytes, 512);
}

TEST(ForeignGraphTest, DtrLogWithHolesIsRefusedByItsLine) {
  const std::string text = fixtures::kDtrLog;
  EXPECT_EQ(RefusalOf(Replaced(text, "\"ARGS\":[\"x\",\"w\"]", "\"ARGS\":[\"x\",\"v\"]")),
            "graph:10: uses v, which no earlier line defines");
  EXPECT_EQ(RefusalOf(Replaced(text, "\"MEMORY\":\"4096\"", "\"MEMORY\":\"-4096\"")),
            "graph:7:/MEMORY: '-4096' is no whole number from 0 to 2^50");
  EXPECT_EQ(RefusalOf(Replaced(text, "\"ALIAS\":\"0\"", "\"ALIAS\":\"7\"")),
            "graph:18: names argument 7 of 1");
  EXPECT_EQ(RefusalOf(Replaced(text, "\"MUTATE\":[0]", "\"MUTATE\":[1]")),
            "graph:15: changes argument 1 of 1");
  EXPECT_THAT(RefusalOf(Replaced(text, "START", "STOP")), StartsWith("graph: ends after line"));
}

TEST(ForeignGraphTest, ChainerGraphRunsBackwardInReverse) {
  // conv(x, W) -> a; relu(a) -> b; concat(a, b) -> c, written in another order.
  const Profile profile = ForeignGraphFromText(fixtures::kChainerGraph, "graph");

  EXPECT_THAT(NamesOf(profile),
              ElementsAre("foreign::Convolution2DFunction", "foreign::ReLU", "foreign::Concat",
                          "foreign::first_gradient", "foreign::Concat_backward",
                          "foreign::ReLU_backward", "foreign::Convolution2DFunction_backward"));
  EXPECT_THAT(DurationsOf(profile), ElementsAre(10, 1, 1, 0, 1, 1, 10));
  // Buffers: 0 W, 1 x, 2 a, 3 b, 4 c, 5 dc, 6 da, 7 db, 8 da + part through ReLU, 9 dW.
  EXPECT_EQ(profile.buffers[0].role, BufferRole::kWeight);
  EXPECT_EQ(profile.buffers[1].role, BufferRole::kInput);
  EXPECT_THAT(ReadsOf(profile, 5), ElementsAre(3, 6, 7));
  EXPECT_THAT(ReadsOf(profile, 6), ElementsAre(0, 1, 8));
  EXPECT_EQ(profile.buffers[8].size_bytes, profile.buffers[2].size_bytes);
}

TEST(ForeignGraphTest, ChainerGraphWithHolesIsRefusedByItsLine) {
  const std::string text = fixtures::kChainerGraph;
  EXPECT_EQ(RefusalOf(Replaced(text, "1 4096 _", "1 -4096 _")),
            "graph:3: '-4096' are no bytes from 0 to 2^50");
  EXPECT_EQ(RefusalOf(Replaced(text, "1 4096 _", "2 4096 _")),
            "graph:3: is not variable 1: number, bytes, name");
  EXPECT_EQ(RefusalOf(Replaced(text, "5 6", "5 7")), "graph: ends after line 49");
  EXPECT_THAT(RefusalOf(Replaced(text, "forward\n1 1\n2 _\n3", "forward\n1 1\n4 _\n3")),
              HasSubstr("graph: has a cycle"));
}

TEST(ForeignGraphTest, CostGraphIsReadLineByLine) {
  const Profile profile = ForeignGraphFromText(fixtures::kCostGraph, "graph");

  EXPECT_THAT(DurationsOf(profile), ElementsAre(1501, 20, 30));
  EXPECT_THAT(ReadsOf(profile, 2), ElementsAre(1));
  EXPECT_EQ(profile.buffers[1].role, BufferRole::kOutput);
  EXPECT_EQ(profile.buffers[2].size_bytes, 0);
}

TEST(ForeignGraphTest, CostGraphWithHolesIsRefusedByItsLine) {
  const std::string text = fixtures::kCostGraph;
  EXPECT_EQ(RefusalOf(Replaced(text, "1500.5", "nan")), "graph:2: 'nan' is not finite");
  EXPECT_EQ(RefusalOf(Replaced(text, "1500.5", "1e999")), "graph:2: '1e999' is out of range");
  EXPECT_EQ(RefusalOf(Replaced(text, "512 1024 0", "512 1024")),
            "graph:3: has 2 words, expected 3");
  EXPECT_EQ(RefusalOf(Replaced(text, "1 2\n", "2 1\n")),
            "graph:5: op 1 reads from op 2, which does not come before it");
  EXPECT_EQ(RefusalOf(Replaced(text, "1 2\n1\n1\n", "1 2\n1\n")), "graph: ends after line 6");
}

TEST(ForeignGraphTest, WholeStepHasRolesAndUpdatesInPlace) {
  const Profile profile = ForeignGraphFromText(fixtures::kWholeStep, "step");

  // The view is left out; the update writes weight and moments, not the gradient.
  EXPECT_THAT(NamesOf(profile),
              ElementsAre("foreign::mm", "foreign::mm", "foreign::_fused_adamw_"));
  EXPECT_EQ(profile.workload.model, "tiny_step");
  std::vector<std::string> buffers{};
  for (std::size_t i = 0; i < profile.buffers.size(); ++i) {
    buffers.push_back(std::string(ToString(profile.buffers[i].role)) + " " +
                      profile.buffers[i].name);
  }
  EXPECT_THAT(
      buffers,
      ElementsAre("input ", "weight parameter.0", "optimizer_state parameter.0.moment1",
                  "optimizer_state parameter.0.moment2", "activation ", "gradient parameter.0"));
  EXPECT_THAT(profile.ops[2].writes, ElementsAre(BufferId{1}, BufferId{2}, BufferId{3}));
  EXPECT_THAT(DurationsOf(profile), ElementsAre(1501, 2000, 1000));
  EXPECT_TRUE(profile.device.copy_times.empty());
}

TEST(ForeignGraphTest, WholeStepTakesAnotherMachineAndWiderStates) {
  const Profile profile = ForeignGraphFromText(fixtures::kWholeStep, "step",
                                               {.step_duration_ns = 8001,
                                                .update_duration_ns = 1000,
                                                .has_doubled_states = true,
                                                .link_bytes_per_s = 1'000'000'000,
                                                .overhead_bytes = 4096});

  EXPECT_THAT(DurationsOf(profile), ElementsAre(3001, 4000, 1000));  // Twice 1500.5 and 2000.
  EXPECT_EQ(profile.buffers[1].size_bytes, 8192);
  EXPECT_EQ(profile.buffers[4].size_bytes, 1024);
  EXPECT_EQ(profile.device.overhead_bytes, 4096);
  EXPECT_EQ(profile.device.copy_times.front().to_host_ns, 10'001);
}

TEST(ForeignGraphTest, WholeStepWithHolesIsRefused) {
  const std::string text = fixtures::kWholeStep;
  EXPECT_EQ(RefusalOf(Replaced(text, "\"12\": 4096", "\"99\": 4096")),
            "graph:/ops/2: storage 12 has no bytes in \"sto\"");
  EXPECT_EQ(RefusalOf(Replaced(text, "\"persistent\": [\"1\", ", "\"persistent\": [")),
            "graph:/ops/0: uses storage 1, which no earlier op makes and which is not persistent");
  EXPECT_EQ(RefusalOf(Replaced(text, "\"nb\": 3", "\"nb\": 30")),
            "graph: has \"nf\" and \"nb\" that are not 0 <= nf <= nb <= ops");
  EXPECT_EQ(RefusalOf(text, {.step_duration_ns = 5}),
            "graph: needs a step that takes longer than its updates, and both given");
}

TEST(ForeignGraphTest, OtherFilesAreNamedForWhatTheyAre) {
  EXPECT_EQ(RefusalOf(""), "graph: is empty");
  EXPECT_EQ(RefusalOf("{\"schema\": \"stint.profile/1\"}"),
            "graph: is a file of Stint itself, not a foreign one");
  EXPECT_THAT(RefusalOf("id,lower,upper,size\n1,2,3,4\n"), HasSubstr("begins like no known graph"));
  EXPECT_THAT(RefusalOf("{}"), HasSubstr("is neither a node-link graph"));
}

}  // namespace
}  // namespace stint
