// Reads Stint's cost graphs: ir/foreign/formats.h.
//
//     3 2 1536           ops, edges, bytes at the peak if everything is kept
//     1500.5 20 30       ns
//     512 1024 0         bytes that each op makes
//     0 1                op 1 reads what op 0 makes
//     1 2
//     1                  how many outputs stay
//     1                  of these ops
#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <vector>

#include "ir/foreign/builder.h"
#include "ir/foreign/formats.h"
#include "ir/foreign/lines.h"

namespace stint::foreign {
namespace {

struct Graph {
  std::vector<std::int64_t> durations_ns{};
  std::vector<std::int64_t> sizes_bytes{};
  std::vector<std::vector<std::size_t>> reads{};
  std::vector<bool> stays{};
};

Graph ReadGraph(const std::string& text, const std::string& where) {
  Lines lines(text, where);
  const std::vector<std::int64_t> counts = lines.NextIntegers(3);
  const auto op_count = static_cast<std::size_t>(counts[0]);
  Graph graph{};
  graph.durations_ns = lines.NextAmounts(op_count);
  graph.sizes_bytes = lines.NextAmounts(op_count);
  graph.reads.resize(op_count);
  graph.stays.resize(op_count, false);
  for (std::int64_t i = 0; i < counts[1]; ++i) {
    const std::vector<std::int64_t> edge = lines.NextIntegers(2);
    if (edge[1] >= counts[0]) lines.Fail(fmt::format("there is no op {}", edge[1]));
    if (edge[0] >= edge[1]) {
      lines.Fail(
          fmt::format("op {} reads from op {}, which does not come before it", edge[1], edge[0]));
    }
    graph.reads[static_cast<std::size_t>(edge[1])].push_back(static_cast<std::size_t>(edge[0]));
  }
  const std::vector<std::string_view> last = Words(lines.Next());
  const std::int64_t stay_count = last.empty() ? -1 : ToInteger(last[0]);
  if (stay_count < 0) lines.Fail("is no count of outputs that stay");
  // On the same line or on the next.
  std::vector<std::string_view> ids(last.begin() + 1, last.end());
  if (ids.empty() && stay_count > 0) ids = Words(lines.Next());
  if (static_cast<std::int64_t>(ids.size()) != stay_count) {
    lines.Fail(fmt::format("has {} of {} outputs that stay", ids.size(), stay_count));
  }
  for (const std::string_view word : ids) {
    const std::int64_t op = ToInteger(word);
    if (op < 0 || op >= counts[0]) lines.Fail("names an op that there is not");
    graph.stays[static_cast<std::size_t>(op)] = true;
  }
  return graph;
}

}  // namespace

Profile ReadCostGraph(const std::string& text, const std::string& where) {
  const Graph graph = ReadGraph(text, where);
  ProfileBuilder builder{};
  std::vector<BufferId> made{};
  for (std::size_t i = 0; i < graph.reads.size(); ++i) {
    made.push_back(
        builder.Add(Buffer{.role = graph.stays[i] ? BufferRole::kOutput : BufferRole::kActivation,
                           .size_bytes = graph.sizes_bytes[i]}));
    const std::string name = fmt::format("op{}", i);
    GraphOp op{.name = name, .creates = {made.back()}, .duration_ns = graph.durations_ns[i]};
    for (const std::size_t source : graph.reads[i]) op.reads.push_back(made[source]);
    builder.Add(op);
  }
  return builder.Build("cost-graph", where);
}

}  // namespace stint::foreign
