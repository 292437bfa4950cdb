#include "dispatch/replay.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <utility>

#include "ir/errors.h"

namespace stint {
namespace {

using testing::HasSubstr;

/// A profile of one op on float tensors; buffer i is tensor i.
class OneOp {
 public:
  explicit OneOp(std::string name) { profile_.ops.push_back({.name = std::move(name)}); }

  OneOp& Input(const at::Tensor& value) {
    values_[profile_.buffers.size()] = value;
    op().arguments.push_back(TensorArgument{.tensor = AddTensor(value, "float32")});
    return *this;
  }
  OneOp& With(Argument argument) {
    op().arguments.push_back(std::move(argument));
    return *this;
  }
  OneOp& Output(const at::Tensor& like) {
    op().outputs.push_back(AddTensor(like, "float32"));
    return *this;
  }
  OneOp& Random(std::int64_t offset) {
    op().random = RandomSource{.seed = 1, .offset = offset};
    return *this;
  }
  /// A tensor that `value` holds, not yet an argument.
  TensorId Known(const at::Tensor& value, const std::string& dtype) {
    values_[profile_.buffers.size()] = value;
    return AddTensor(value, dtype);
  }
  Op& op() { return profile_.ops.front(); }
  const Profile& profile() const { return profile_; }

  /// Calls the op; copies of its new outputs, in order.
  std::vector<std::vector<float>> Call(std::int64_t iteration = 0) {
    std::vector<std::vector<float>> outputs;
    OpTable(profile_).Call(
        OpId{0}, iteration, [&](BufferId id) { return values_.at(Index(id)).mutable_data_ptr(); },
        [&](BufferId id, void* data) {
          const auto count = static_cast<std::size_t>(profile_.buffers[Index(id)].size_bytes / 4);
          outputs.emplace_back(static_cast<float*>(data), static_cast<float*>(data) + count);
        });
    return outputs;
  }

 private:
  TensorId AddTensor(const at::Tensor& value, const std::string& dtype) {
    profile_.buffers.push_back({.size_bytes = static_cast<std::int64_t>(value.nbytes())});
    profile_.tensors.push_back({.buffer = BufferId(profile_.buffers.size() - 1),
                                .dtype = dtype,
                                .sizes = value.sizes().vec(),
                                .strides = value.strides().vec()});
    return TensorId(profile_.tensors.size() - 1);
  }

  Profile profile_{};
  std::map<std::size_t, at::Tensor> values_{};
};

std::vector<float> Values(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.contiguous();
  return {flat.const_data_ptr<float>(), flat.const_data_ptr<float>() + flat.numel()};
}

TEST(ReplayTest, CallsAnOpOnChosenMemory) {
  const at::Tensor a = at::rand({3, 4});
  const at::Tensor b = at::rand({4, 2});
  OneOp call("aten::mm");
  call.Input(a).Input(b).Output(at::empty({3, 2}));

  EXPECT_THAT(call.Call(), testing::ElementsAre(Values(at::mm(a, b))));
}

TEST(ReplayTest, PassesWrappedNumbersThatDoNotPromote) {
  const at::Tensor a = at::rand({5});
  OneOp call("aten::mul.Tensor");
  call.Input(a).With(WrappedNumber{.dtype = "float64", .value = 1.5}).Output(at::empty({5}));

  EXPECT_THAT(call.Call(), testing::ElementsAre(Values(a * 1.5)));
}

TEST(ReplayTest, WritesInPlaceThroughAViewOfTheSameBuffer) {
  at::Tensor a = at::rand({4, 4});
  const at::Tensor expected = a + a.t();
  OneOp call("aten::add_.Tensor");
  call.Input(a);
  Profile with_view = call.profile();
  with_view.tensors.push_back(with_view.tensors[0]);
  with_view.tensors[1].strides = {1, 4};
  with_view.ops[0].arguments.push_back(TensorArgument{.tensor = TensorId{1}});
  with_view.ops[0].arguments.push_back(std::int64_t{1});
  with_view.ops[0].name = "aten::add.Tensor";
  with_view.buffers.push_back({.size_bytes = 64});
  with_view.tensors.push_back(
      {.buffer = BufferId{1}, .dtype = "float32", .sizes = {4, 4}, .strides = {4, 1}});
  with_view.ops[0].outputs = {TensorId{2}};
  std::vector<float> sum;
  OpTable(with_view).Call(
      OpId{0}, 0, [&](BufferId) { return a.mutable_data_ptr(); },
      [&](BufferId, void* data) {
        sum.assign(static_cast<float*>(data), static_cast<float*>(data) + 16);
      });
  EXPECT_EQ(sum, Values(expected));
}

TEST(ReplayTest, WritesInPlaceWithoutANewBuffer) {
  const at::Tensor a = at::ones({4});
  OneOp call("aten::mul_.Scalar");
  call.Input(a).With(std::int64_t{3});
  call.op().outputs = {TensorId{0}};
  call.op().writes = {BufferId{0}};

  EXPECT_THAT(call.Call(), testing::IsEmpty());
  EXPECT_THAT(Values(a), testing::ElementsAre(3, 3, 3, 3));
}

TEST(ReplayTest, PassesListsOfTensorsWithMissingOnes) {
  const at::Tensor a = at::rand({3, 4});
  const at::Tensor index = at::arange(2);
  OneOp call("aten::index.Tensor");
  call.Input(a);
  const TensorId id = call.Known(index, "int64");
  call.With(TensorListArgument{.tensors = {std::nullopt, id}}).Output(at::empty({3, 2}));

  EXPECT_THAT(call.Call(), testing::ElementsAre(Values(a.slice(1, 0, 2))));
}

TEST(ReplayTest, PassesOptionalTensorsAndLists) {
  const at::Tensor image = at::rand({1, 2, 5, 5});
  const at::Tensor weight = at::rand({3, 2, 3, 3});
  const at::Tensor expected = at::conv2d(image, weight);
  OneOp call("aten::convolution");
  call.Input(image).Input(weight).With(NoArgument{});
  for (const std::int64_t number : {1, 0, 1})
    call.With(IntListArgument{.values = {number, number}});
  call.With(false).With(IntListArgument{.values = {0, 0}}).With(std::int64_t{1}).Output(expected);

  EXPECT_THAT(call.Call(), testing::ElementsAre(Values(expected)));
}

TEST(ReplayTest, LeavesNoTraceInAutograd) {
  const at::Tensor a = at::rand({3});
  OneOp call("aten::silu");
  call.Input(a).Output(at::empty({3}));
  const std::int64_t version = a._version();
  call.Call();

  EXPECT_FALSE(a.requires_grad());
  EXPECT_EQ(a._version(), version);
}

TEST(ReplayTest, RandomNumbersDependOnOffsetAndIterationOnly) {
  const auto draw = [](std::int64_t offset, std::int64_t iteration) {
    OneOp call("aten::bernoulli");
    const at::Tensor half = at::full({256}, 0.5);
    call.Input(half).With(NoArgument{}).Output(at::empty({256})).Random(offset);
    return call.Call(iteration).front();
  };
  const std::vector<float> first = draw(1, 0);

  EXPECT_EQ(draw(1, 0), first);
  EXPECT_NE(draw(2, 0), first);
  EXPECT_NE(draw(1, 1), first);
}

/// What building the table of `profile` throws.
std::string RefusalOf(const Profile& profile) {
  try {
    const OpTable table(profile, "p.json");
  } catch (const InputError& error) {
    return error.what();
  }
  return "nothing";
}

TEST(ReplayTest, RefusesOpsThatLibTorchLacks) {
  EXPECT_EQ(RefusalOf(OneOp("aten::no_such_op.out").profile()),
            "p.json:/ops/0/name: this LibTorch has no op 'aten::no_such_op.out'");
}

TEST(ReplayTest, RefusesArgumentsThatTheSchemaDoesNotTake) {
  OneOp text("aten::silu");
  text.With(std::string("x"));
  EXPECT_EQ(RefusalOf(text.profile()),
            "p.json:/ops/0/arguments/0: is a text, but the op takes Tensor");

  OneOp too_many("aten::silu");
  too_many.Input(at::empty({1})).With(true);
  EXPECT_THAT(RefusalOf(too_many.profile()), HasSubstr("has 2 arguments, but aten::silu takes 1"));

  OneOp none("aten::mul.Scalar");
  none.Input(at::empty({1})).With(NoArgument{});
  EXPECT_THAT(RefusalOf(none.profile()), HasSubstr("/ops/0/arguments/1: is none"));
}

TEST(ReplayTest, RefusesResultsOfAnotherShapeThanRecorded) {
  OneOp call("aten::silu");
  call.Input(at::rand({3})).Output(at::empty({4}));
  try {
    call.Call();
    FAIL() << "was accepted";
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("aten::silu returned float32 [3] with strides [1]"));
  }
}

TEST(ReplayTest, LetsErrorsOfOpsThrough) {
  OneOp call("aten::mm");
  call.Input(at::rand({3, 4})).Input(at::rand({3, 4})).Output(at::empty({3, 4}));
  EXPECT_THROW(call.Call(), c10::Error);
}

}  // namespace
}  // namespace stint
