// Validate(profile) refuses each broken property by its place.
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "ir/errors.h"
#include "ir/profile.h"
#include "tests/support/graphs.h"

namespace stint {
namespace {

/// What Validate says of Chain (ops A, B, C; buffers x, a, b, c) after `spoil`.
std::string Refusal(const std::function<void(Profile&)>& spoil) {
  Profile profile = fixtures::Chain();
  spoil(profile);
  try {
    Validate(profile, "p.json");
    return {};
  } catch (const InputError& error) {
    return error.what();
  }
}

TEST(ValidateTest, AcceptsTheFixtures) {
  EXPECT_NO_THROW(Validate(fixtures::ChainWithBackward()));
  EXPECT_NO_THROW(Validate(fixtures::InPlace()));
  EXPECT_NO_THROW(Validate(fixtures::Accumulation()));
  EXPECT_NO_THROW(Validate(Profile{}));
}

TEST(ValidateTest, ReadsNeedAValue) {
  EXPECT_EQ(Refusal([](Profile& p) { p.ops[0].arguments = {TensorArgument{TensorId{2}}}; }),
            "p.json:/ops/0/arguments/0: reads buffer 2, which no earlier op has made");
  EXPECT_EQ(Refusal([](Profile& p) { p.buffers[0].is_persistent = false; }),
            "p.json:/ops/0/arguments/0: reads buffer 0 (x), which no earlier op has made");
}

TEST(ValidateTest, IdsAreInRange) {
  EXPECT_EQ(Refusal([](Profile& p) { p.ops[0].arguments = {TensorArgument{TensorId{-1}}}; }),
            "p.json:/ops/0/arguments/0: -1 is no tensor");
  EXPECT_EQ(Refusal([](Profile& p) { p.ops[1].outputs = {TensorId{4}}; }),
            "p.json:/ops/1/outputs/0: is no tensor");
  EXPECT_EQ(Refusal([](Profile& p) { p.tensors[3].buffer = BufferId{4}; }),
            "p.json:/tensors/3/buffer: is no buffer");
  EXPECT_EQ(Refusal([](Profile& p) { p.ops[1].requests[0].buffer = BufferId{9}; }),
            "p.json:/ops/1/requests/0/buffer: is no buffer");
  EXPECT_EQ(Refusal([](Profile& p) { p.ops[1].writes = {BufferId{9}}; }),
            "p.json:/ops/1/writes/0: is no buffer");
}

TEST(ValidateTest, TensorsLieWithinTheirBuffers) {
  EXPECT_EQ(Refusal([](Profile& p) { p.tensors[0].storage_offset = 1; }),
            "p.json:/tensors/0: reaches beyond the end of buffer 0 (x)");
  EXPECT_EQ(Refusal([](Profile& p) { p.tensors[0].dtype = "int16"; }),
            "p.json:/tensors/0: reaches beyond the end of buffer 0 (x)");
  EXPECT_EQ(Refusal([](Profile& p) {
              p.tensors[0].sizes = {std::int64_t{1} << 62};
              p.tensors[0].strides = {8};
            }),
            "p.json:/tensors/0: reaches beyond the end of buffer 0 (x)");
  EXPECT_EQ(Refusal([](Profile& p) { p.tensors[0].strides = {}; }),
            "p.json:/tensors/0/strides: has 0 strides for 1 sizes");
  EXPECT_EQ(Refusal([](Profile& p) { p.tensors[0].sizes = {-1}; }),
            "p.json:/tensors/0/sizes/0: is negative");
  EXPECT_EQ(Refusal([](Profile& p) { p.tensors[0].dtype = "float7"; }),
            "p.json:/tensors/0/dtype: 'float7' is no dtype that Stint knows");
}

TEST(ValidateTest, RequestsSayWhatBecomesOfThem) {
  EXPECT_EQ(
      Refusal([](Profile& p) { p.ops[1].requests[1].freed_after_request = 0; }),
      "p.json:/ops/1/requests/1/freed_after_request: is no request from this one to the last");
  EXPECT_EQ(
      Refusal([](Profile& p) { p.ops[1].requests[1].freed_after_request = 2; }),
      "p.json:/ops/1/requests/1/freed_after_request: is no request from this one to the last");
  EXPECT_EQ(Refusal([](Profile& p) { p.ops[1].requests[0].freed_after_request = 0; }),
            "p.json:/ops/1/requests/0/freed_after_request: is given for a request that becomes a "
            "buffer");
  EXPECT_EQ(Refusal([](Profile& p) { p.ops[1].requests[0].size_bytes = 512; }),
            "p.json:/ops/1/requests/0: asks for 512 bytes, but buffer 2 has 2048");
  EXPECT_EQ(Refusal([](Profile& p) { p.ops[1].requests[1].size_bytes = 0; }),
            "p.json:/ops/1/requests/1/size_bytes: is not positive");
  EXPECT_EQ(Refusal([](Profile& p) { p.ops[1].requests[1] = p.ops[1].requests[0]; }),
            "p.json:/ops/1/requests/1/buffer: buffer 2 exists already");
  EXPECT_EQ(Refusal([](Profile& p) { p.ops[1].requests.clear(); }),
            "p.json:/ops/1/outputs/0: buffer 2 is new, but no request becomes it");
}

TEST(ValidateTest, OutputsInOldBuffersAreWrites) {
  EXPECT_EQ(Refusal([](Profile& p) { p.ops[1].outputs.push_back(TensorId{0}); }),
            "p.json:/ops/1/outputs/1: buffer 0 (x) exists already and is not among the writes");
  EXPECT_EQ(Refusal([](Profile& p) {
              p.ops[1].outputs.push_back(TensorId{0});
              p.ops[1].writes = {BufferId{0}};
            }),
            "");
  EXPECT_EQ(Refusal([](Profile& p) {
              p.ops[1].writes = {BufferId{1}, BufferId{0}};
            }),
            "p.json:/ops/1/writes: is not ascending");
  EXPECT_EQ(Refusal([](Profile& p) { p.ops[1].writes = {BufferId{3}}; }),
            "p.json:/ops/1/writes/0: buffer 3 is written in place before it holds a value");
}

TEST(ValidateTest, PhasesCoverAllOps) {
  EXPECT_EQ(Refusal([](Profile& p) { p.phases[0].end = OpId{2}; }),
            "p.json:/phases: cover 2 of 3 ops");
  EXPECT_EQ(Refusal([](Profile& p) { p.phases[0].end = OpId{4}; }),
            "p.json:/phases/0/end: is not behind its begin or behind the last op");
  EXPECT_EQ(Refusal([](Profile& p) { p.phases[0].begin = OpId{1}; }),
            "p.json:/phases/0/begin: does not begin where the phase before ends");
  EXPECT_EQ(Refusal([](Profile& p) { p.phases[0].repeat_count = 0; }),
            "p.json:/phases/0/repeat_count: is less than 1");
}

TEST(ValidateTest, AmountsAreInRange) {
  constexpr std::int64_t kHuge = std::int64_t{1} << 60;
  EXPECT_EQ(Refusal([](Profile& p) { p.buffers[0].size_bytes = -1; }),
            "p.json:/buffers/0/size_bytes: is negative");
  EXPECT_EQ(Refusal([](Profile& p) { p.buffers[0].size_bytes = p.buffers[1].size_bytes = kHuge; }),
            "p.json:/buffers/1: with the buffers before holds more than 2^60 bytes");
  EXPECT_EQ(Refusal([](Profile& p) { p.ops[1].duration_ns = -1; }),
            "p.json:/ops/1/duration_ns: is negative");
  EXPECT_EQ(Refusal([](Profile& p) { p.phases[0].repeat_count = kHuge; }),
            "p.json:/ops/1/duration_ns: with the ops before takes more than 2^60 ns");
  EXPECT_EQ(Refusal([](Profile& p) { p.device.memory_bytes = -1; }),
            "p.json:/device/memory_bytes: is not in [0, 2^60]");
  EXPECT_EQ(Refusal([](Profile& p) {
              p.device.copy_times = {{.size_bytes = 8}, {.size_bytes = 8}};
            }),
            "p.json:/device/copy_times/1/size_bytes: is not larger than the one before");
}

TEST(ValidateTest, ConstantsAndWorkspacesPersist) {
  EXPECT_EQ(Refusal([](Profile& p) { p.buffers[1].role = BufferRole::kWorkspace; }),
            "p.json:/buffers/1: has the role workspace, but is not persistent");
  EXPECT_EQ(Refusal([](Profile& p) {
              p.buffers[0].role = BufferRole::kConstant;
              p.ops[1].writes = {BufferId{0}};
            }),
            "p.json:/ops/1/writes/0: buffer 0 (x) is a constant");
}

TEST(ValidateTest, ErrorsStayOnOneLine) {
  EXPECT_EQ(Refusal([](Profile& p) { p.tensors[0].dtype = "a\nb\xff"; }),
            "p.json:/tensors/0/dtype: 'a?b?' is no dtype that Stint knows");
}

}  // namespace
}  // namespace stint
