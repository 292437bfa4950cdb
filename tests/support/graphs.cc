#include "tests/support/graphs.h"

#include <algorithm>
#include <random>
#include <utility>

namespace stint::fixtures {
namespace {

/// std::uniform_int_distribution differs between libraries; this does not.
class Dice {
 public:
  explicit Dice(std::uint32_t seed) : generator_(seed) {}

  std::int64_t Below(std::int64_t end) { return generator_() % static_cast<std::uint32_t>(end); }
  std::int64_t Between(std::int64_t first, std::int64_t last) {
    return first + Below(last - first + 1);
  }
  bool Percent(std::int64_t chance) { return Below(100) < chance; }
  template <typename T>
  const T& Of(const std::vector<T>& values) {
    return values[static_cast<std::size_t>(Below(static_cast<std::int64_t>(values.size())))];
  }

 private:
  std::mt19937 generator_;
};

/// Adds random ops; knows which buffers hold a value that the next op may read.
class RandomGraph {
 public:
  explicit RandomGraph(std::uint32_t seed) : dice_(seed) {}

  Profile Build() {
    const std::int64_t persistent_count = dice_.Between(1, 5);
    for (std::int64_t i = 0; i < persistent_count; ++i) {
      static const std::vector<BufferRole> kRoles = {BufferRole::kWeight, BufferRole::kInput,
                                                     BufferRole::kOptimizerState};
      readable_.push_back(graph_.Persistent("p" + std::to_string(i), dice_.Of(kRoles), Size()));
    }
    if (dice_.Percent(30)) graph_.Persistent("library", BufferRole::kWorkspace, Size());
    const std::int64_t phase_count = dice_.Between(1, 3);
    for (std::int64_t i = 0; i < phase_count; ++i) AddPhase(i);
    return graph_.Build();
  }

 private:
  std::int64_t Size() {
    return dice_.Percent(30) ? dice_.Between(1, 2000) : 512 * dice_.Between(1, 6);
  }

  void AddPhase(std::int64_t i) {
    const std::int64_t repeat_count = dice_.Percent(40) ? dice_.Between(2, 4) : 1;
    const std::vector<BufferId> readable_before = readable_;
    const std::int64_t op_count = dice_.Between(4, 13);
    for (std::int64_t k = 0; k < op_count; ++k) AddOp(repeat_count > 1);
    // What a repetition makes cannot outlive it.
    if (repeat_count > 1) readable_ = readable_before;
    graph_.EndPhase("phase" + std::to_string(i), repeat_count);
  }

  void AddOp(bool is_repeated) {
    std::vector<BufferId> reads;
    for (std::int64_t i = dice_.Between(1, 3); i > 0; --i) reads.push_back(dice_.Of(readable_));
    std::vector<BufferId> writes;
    if (dice_.Percent(25)) writes.push_back(dice_.Of(readable_));
    GraphBuilder::Requests requests;
    const std::int64_t output_count = writes.empty() ? dice_.Between(1, 3) : dice_.Below(2);
    for (std::int64_t i = 0; i < output_count; ++i) {
      requests.output_sizes_bytes.push_back(dice_.Percent(8) ? 0 : Size());
    }
    for (std::int64_t i = dice_.Below(3); i > 0; --i)
      requests.workspace_sizes_bytes.push_back(Size());
    const std::vector<BufferId> made =
        graph_.Run("aten::op", reads, writes, requests, dice_.Between(0, 9));
    Op& op = graph_.profile().ops.back();
    ShuffleRequests(op);
    if (dice_.Percent(10)) {
      op.random = {.seed = 0, .offset = static_cast<std::int64_t>(graph_.profile().ops.size())};
    }
    if (dice_.Percent(20)) AddViewArgument(op, reads.front());
    for (const BufferId id : made) {
      if (!is_repeated && dice_.Percent(5)) {
        graph_.profile().buffers[Index(id)].role = BufferRole::kOutput;
      }
      readable_.push_back(id);
    }
  }

  /// Any order, and any time of death of those that die inside.
  void ShuffleRequests(Op& op) {
    std::vector<Request>& requests = op.requests;
    for (std::size_t i = requests.size(); i > 1; --i) {
      std::swap(requests[i - 1],
                requests[static_cast<std::size_t>(dice_.Below(static_cast<std::int64_t>(i)))]);
    }
    const auto last = static_cast<std::int64_t>(requests.size()) - 1;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      if (requests[i].buffer) continue;
      requests[i].freed_after_request =
          static_cast<std::int32_t>(dice_.Between(static_cast<std::int64_t>(i), last));
    }
  }

  void AddViewArgument(Op& op, BufferId id) {
    const std::int64_t size_bytes = graph_.profile().buffers[Index(id)].size_bytes;
    const std::int64_t part_bytes = dice_.Below(size_bytes + 1);
    op.arguments.push_back(TensorListArgument{
        .tensors = {std::nullopt, graph_.View(id, part_bytes, size_bytes - part_bytes)}});
  }

  Dice dice_;
  GraphBuilder graph_{};
  std::vector<BufferId> readable_{};
};

}  // namespace

BufferId GraphBuilder::AddBuffer(const Buffer& buffer) {
  const auto id = static_cast<BufferId>(profile_.buffers.size());
  profile_.buffers.push_back(buffer);
  whole_tensors_.push_back({});
  whole_tensors_.back() = View(id, buffer.size_bytes, 0);
  return id;
}

TensorId GraphBuilder::View(BufferId id, std::int64_t size_bytes, std::int64_t offset_bytes) {
  profile_.tensors.push_back({.buffer = id,
                              .dtype = "uint8",
                              .sizes = {size_bytes},
                              .strides = {1},
                              .storage_offset = offset_bytes});
  return static_cast<TensorId>(profile_.tensors.size() - 1);
}

BufferId GraphBuilder::Persistent(const std::string& name, BufferRole role,
                                  std::int64_t size_bytes) {
  return AddBuffer({.name = name, .role = role, .size_bytes = size_bytes, .is_persistent = true});
}

BufferId GraphBuilder::Make(const std::string& name, const std::vector<BufferId>& reads,
                            std::int64_t size_bytes, std::int64_t duration_ns,
                            std::int64_t workspace_bytes) {
  Requests requests = {.output_sizes_bytes = {size_bytes}};
  if (workspace_bytes > 0) requests.workspace_sizes_bytes.push_back(workspace_bytes);
  return Run(name, reads, {}, requests, duration_ns).front();
}

std::vector<BufferId> GraphBuilder::Run(const std::string& name, const std::vector<BufferId>& reads,
                                        const std::vector<BufferId>& writes,
                                        const Requests& requests, std::int64_t duration_ns) {
  Op op = {.name = name, .writes = writes, .duration_ns = duration_ns};
  for (const BufferId id : reads) op.arguments.push_back(TensorArgument{.tensor = WholeOf(id)});
  for (const BufferId id : writes) op.arguments.push_back(TensorArgument{.tensor = WholeOf(id)});
  std::vector<BufferId> made;
  for (const std::int64_t size_bytes : requests.output_sizes_bytes) {
    const BufferId id = AddBuffer({.role = BufferRole::kActivation, .size_bytes = size_bytes});
    made.push_back(id);
    op.outputs.push_back(WholeOf(id));
    if (size_bytes > 0) op.requests.push_back({.size_bytes = size_bytes, .buffer = id});
  }
  const std::size_t request_count = op.requests.size() + requests.workspace_sizes_bytes.size();
  for (const std::int64_t size_bytes : requests.workspace_sizes_bytes) {
    op.requests.push_back({.size_bytes = size_bytes,
                           .freed_after_request = static_cast<std::int32_t>(request_count) - 1});
  }
  profile_.ops.push_back(std::move(op));
  return made;
}

void GraphBuilder::EndPhase(const std::string& name, std::int64_t repeat_count) {
  const OpId begin = profile_.phases.empty() ? OpId{} : profile_.phases.back().end;
  profile_.phases.push_back({.name = name,
                             .begin = begin,
                             .end = static_cast<OpId>(profile_.ops.size()),
                             .repeat_count = repeat_count});
}

Profile GraphBuilder::Build() {
  profile_.device.name = "paper";
  Validate(profile_);
  return profile_;
}

Profile Chain() {
  GraphBuilder graph;
  const BufferId x = graph.Persistent("x", BufferRole::kInput, 512);
  const BufferId a = graph.Make("test::A", {x}, 1024, 1);
  const BufferId b = graph.Make("test::B", {a}, 2048, 2, 512);
  const BufferId c = graph.Make("test::C", {b}, 512, 4);
  graph.profile().buffers[Index(c)].role = BufferRole::kOutput;
  graph.EndPhase("chain");
  return graph.Build();
}

Profile ChainWithBackward() {
  GraphBuilder graph;
  const BufferId x = graph.Persistent("x", BufferRole::kInput, 512);
  const BufferId w = graph.Persistent("w", BufferRole::kWeight, 512);
  const BufferId a = graph.Make("test::F0", {x, w}, 1024, 1);
  const BufferId b = graph.Make("test::F1", {a}, 1024, 2);
  const BufferId c = graph.Make("test::F2", {b}, 1024, 4);
  const BufferId loss = graph.Make("test::L", {c}, 512, 1);
  const BufferId p = graph.Make("test::G2", {c, b}, 1024, 4, 512);
  const BufferId q = graph.Make("test::G1", {p, a}, 1024, 2);
  const BufferId g = graph.Make("test::G0", {q, x}, 512, 1);
  graph.Run("test::U", {g}, {w}, {}, 1);
  graph.profile().buffers[Index(loss)].role = BufferRole::kOutput;
  graph.profile().buffers[Index(g)].role = BufferRole::kGradient;
  graph.profile().buffers[Index(g)].name = "w";
  graph.EndPhase("step");
  return graph.Build();
}

Profile InPlace() {
  GraphBuilder graph;
  const BufferId x = graph.Persistent("x", BufferRole::kInput, 512);
  const BufferId s = graph.Persistent("s", BufferRole::kEma, 512);
  const BufferId a = graph.Make("test::A", {x}, 1024, 1);
  graph.Run("test::add_", {x}, {a}, {}, 2);
  const BufferId b = graph.Make("test::B", {a}, 512, 4);
  graph.Run("test::mul_", {b}, {s}, {}, 1);
  const BufferId c = graph.Make("test::C", {a, b}, 512, 1);
  graph.profile().buffers[Index(c)].role = BufferRole::kOutput;
  graph.EndPhase("step");
  return graph.Build();
}

Profile Accumulation() {
  GraphBuilder graph;
  const BufferId x = graph.Persistent("x", BufferRole::kInput, 512);
  const BufferId w = graph.Persistent("w", BufferRole::kWeight, 512);
  const BufferId a_first = graph.Make("test::A", {x, w}, 1024, 1);
  const BufferId g = graph.Make("test::G", {a_first}, 512, 1);
  graph.profile().buffers[Index(g)].role = BufferRole::kGradient;
  graph.profile().buffers[Index(g)].name = "w";
  graph.EndPhase("first");
  const BufferId a_middle = graph.Make("test::A", {x, w}, 1024, 1);
  graph.Run("test::G", {a_middle}, {g}, {}, 1);
  graph.EndPhase("middle", 3);
  const BufferId a_last = graph.Make("test::A", {x, w}, 1024, 1);
  graph.Run("test::G", {a_last}, {g}, {}, 1);
  graph.Run("test::U", {g}, {w}, {}, 1);
  graph.EndPhase("last");
  return graph.Build();
}

Profile RandomProfile(std::uint32_t seed) { return RandomGraph(seed).Build(); }

Profile LargeProfile(std::int64_t op_count) {
  GraphBuilder graph;
  std::vector<BufferId> values;
  for (int i = 0; i < 8; ++i) {
    values.push_back(graph.Persistent("down_blocks.1.attentions.0.proj_in.weight",
                                      BufferRole::kWeight, 512 * 512));
  }
  for (std::int64_t i = 0; i < op_count; ++i) {
    const std::vector<BufferId> reads(values.end() - 4, values.end());
    const std::vector<BufferId> made =
        graph.Run("aten::convolution_backward", reads, {},
                  {.output_sizes_bytes = {1 << 20, 4096}, .workspace_sizes_bytes = {1 << 22}}, i);
    Op& op = graph.profile().ops.back();
    op.module = "down_blocks.1.attentions.0.transformer_blocks.3.attn1.to_out.0";
    op.is_backward = true;
    op.spread_ns = 17;
    op.arguments.push_back(IntListArgument{.values = {1, 1}});
    op.arguments.push_back(IntListArgument{.values = {0, 0}});
    op.arguments.push_back(BoolListArgument{.values = {true, true, false}});
    op.arguments.push_back(NoArgument{});
    op.arguments.push_back(std::int64_t{1});
    op.arguments.push_back(WrappedNumber{.dtype = "float64", .value = 0.125});
    values.insert(values.end(), made.begin(), made.end());
  }
  graph.EndPhase("step");
  return graph.Build();
}

}  // namespace stint::fixtures
