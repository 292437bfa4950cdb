#include "ir/foreign/builder.h"

#include <algorithm>
#include <utility>

#include "ir/errors.h"

namespace stint::foreign {
namespace {

constexpr std::size_t kMostBuffers = std::size_t{1} << 30;  // Ids have 32 bits.

/// "aten::conv2d" is "foreign::conv2d": nobody shall take it for an op that can be run.
std::string OpName(std::string_view name) {
  const std::size_t space = name.rfind("::");
  return "foreign::" + std::string(space == std::string_view::npos ? name : name.substr(space + 2));
}

/// Each tensor has its buffer's id.
TensorId WholeOf(BufferId id) { return TensorId{static_cast<std::int32_t>(id)}; }

template <typename Id>
void RemoveRepeated(std::vector<Id>& ids) {
  std::ranges::sort(ids);
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
}

}  // namespace

BufferId ProfileBuilder::Add(const Buffer& buffer) {
  Check(profile_.buffers.size() < kMostBuffers, "a foreign graph has ids of 32 bits");
  const BufferId id{static_cast<std::int32_t>(profile_.buffers.size())};
  profile_.buffers.push_back(buffer);
  return id;
}

void ProfileBuilder::Add(const GraphOp& graph_op) {
  Op op{.name = OpName(graph_op.name),
        .is_backward = graph_op.is_backward,
        .duration_ns = graph_op.duration_ns};
  std::vector<BufferId> reads = graph_op.reads;
  RemoveRepeated(reads);
  op.writes = graph_op.writes;
  RemoveRepeated(op.writes);
  for (const BufferId id : reads) {
    op.arguments.emplace_back(TensorArgument{.tensor = WholeOf(id)});
  }
  for (const BufferId id : graph_op.creates) {
    const std::int64_t size_bytes = profile_.buffers[Index(id)].size_bytes;
    if (size_bytes > 0) op.requests.push_back({.size_bytes = size_bytes, .buffer = id});
    op.outputs.emplace_back(WholeOf(id));
  }
  for (const BufferId id : op.writes) op.outputs.emplace_back(WholeOf(id));
  profile_.ops.push_back(std::move(op));
}

Profile ProfileBuilder::Build(const std::string& model, const std::string& where) {
  if (profile_.ops.empty()) throw InputError(where, "holds no op");
  for (std::size_t i = 0; i < profile_.buffers.size(); ++i) {
    profile_.tensors.push_back({.buffer = BufferId{static_cast<std::int32_t>(i)},
                                .dtype = "uint8",
                                .sizes = {profile_.buffers[i].size_bytes},
                                .strides = {1}});
  }
  profile_.workload = {.model = model, .config_json = "{}", .task = "foreign"};
  profile_.phases = {{.name = "step", .end = OpId{static_cast<std::int32_t>(profile_.ops.size())}}};
  Validate(profile_, where);
  return std::move(profile_);
}

}  // namespace stint::foreign
