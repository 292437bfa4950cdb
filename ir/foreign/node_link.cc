// Reads networkx node-link JSON: ir/foreign/formats.h.
#include <fmt/format.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "ir/errors.h"
#include "ir/foreign/amounts.h"
#include "ir/foreign/builder.h"
#include "ir/foreign/formats.h"
#include "ir/foreign/lines.h"
#include "ir/foreign/order.h"
#include "ir/json_reader.h"
#include "ir/quoted.h"

namespace stint::foreign {
namespace {

// Sizes without a unit are of so many bytes: rounding to 512 leaves them as they are.
constexpr std::int64_t kUnitBytes = 512;

using NodeName = std::variant<std::int64_t, std::string>;

struct Node {
  std::string name{};
  std::optional<std::int64_t> size_bytes{};
  std::optional<std::int64_t> duration_ns{};
  bool is_backward = false;
};

struct Link {
  NodeName source{};
  NodeName target{};
};

struct Graph {
  std::string name{};
  std::vector<Node> nodes{};
  std::map<NodeName, std::int32_t> index_of{};
  std::vector<Link> links{};
  std::optional<std::vector<NodeName>> order{};
};

std::string Text(const NodeName& name) {
  if (const auto* number = std::get_if<std::int64_t>(&name)) return std::to_string(*number);
  return std::get<std::string>(name);
}

NodeName ReadName(JsonReader& json) {
  if (json.Peek() == JsonKind::kString) return json.String();
  return json.Integer();
}

std::int64_t ReadAmount(JsonReader& json) {
  if (json.Peek() != JsonKind::kNumber) json.Fail("is no number");
  const auto fail = [&](const char* fact) { json.Fail(fact); };
  return std::visit([&](auto number) { return ToAmount(static_cast<double>(number), fail); },
                    json.Number());
}

void ReadNode(JsonReader& json, Graph& graph) {
  Node node{};
  std::optional<NodeName> id{};
  std::optional<NodeName> name{};
  json.Object([&](std::string_view key) {
    if (key == "id") {
      id = ReadName(json);
    } else if (key == "name") {
      name = ReadName(json);
    } else if (key == "cost_ram") {
      node.size_bytes = ReadAmount(json);
    } else if (key == "out_cost") {
      node.size_bytes = ReadAmount(json) * kUnitBytes;
    } else if (key == "cost_cpu" || key == "duration") {
      node.duration_ns = ReadAmount(json);
    } else if (key == "backward") {
      node.is_backward = json.Bool();
    } else {
      json.Skip();
    }
  });
  if (!id) id = name;  // The random graphs: their id is called name.
  if (!id) json.Fail("lacks both \"id\" and \"name\"");
  if (!node.size_bytes) json.Fail("lacks its bytes: \"cost_ram\" or \"out_cost\"");
  if (!node.duration_ns) json.Fail("lacks its time: \"cost_cpu\" or \"duration\"");
  node.name = Text(name.value_or(*id));
  if (!graph.index_of.emplace(*id, static_cast<std::int32_t>(graph.nodes.size())).second) {
    json.Fail(fmt::format("is a second node {}", Quoted(Text(*id))));
  }
  graph.nodes.push_back(std::move(node));
}

void ReadLink(JsonReader& json, Graph& graph) {
  std::optional<NodeName> source{};
  std::optional<NodeName> target{};
  json.Object([&](std::string_view key) {
    if (key == "source" || key == "0") {
      source = ReadName(json);
    } else if (key == "target" || key == "1") {
      target = ReadName(json);
    } else {
      json.Skip();
    }
  });
  if (!source || !target) json.Fail("lacks its source or its target");
  graph.links.push_back({.source = *source, .target = *target});
}

void ReadAttributes(JsonReader& json, Graph& graph) {
  json.Object([&](std::string_view key) {
    if (key == "name") {
      graph.name = Text(ReadName(json));
    } else if (key == "order") {
      json.Array([&, &order = graph.order.emplace()] { order.push_back(ReadName(json)); });
    } else {
      json.Skip();
    }
  });
}

Graph ReadGraph(const std::string& text, const std::string& where) {
  Graph graph{};
  JsonReader json(text, where);
  json.Object([&](std::string_view key) {
    if (key == "graph") {
      ReadAttributes(json, graph);
    } else if (key == "nodes") {
      json.Array([&] { ReadNode(json, graph); });
    } else if (key == "links" || key == "edges") {
      json.Array([&] { ReadLink(json, graph); });
    } else {
      json.Skip();
    }
  });
  return graph;
}

std::int32_t Find(const Graph& graph, const NodeName& name, const std::string& where) {
  const auto found = graph.index_of.find(name);
  if (found == graph.index_of.end()) {
    throw InputError(where, fmt::format("there is no node {}", Quoted(Text(name))));
  }
  return found->second;
}

struct Edges {
  std::vector<std::vector<std::int32_t>> successors{};
  std::vector<std::vector<std::int32_t>> predecessors{};
};

Edges MakeEdges(const Graph& graph, const std::string& where) {
  Edges edges{};
  edges.successors.resize(graph.nodes.size());
  edges.predecessors.resize(graph.nodes.size());
  for (std::size_t i = 0; i < graph.links.size(); ++i) {
    const std::string place = fmt::format("{}:/links/{}", where, i);
    const std::int32_t source = Find(graph, graph.links[i].source, place);
    const std::int32_t target = Find(graph, graph.links[i].target, place);
    edges.successors[static_cast<std::size_t>(source)].push_back(target);
    edges.predecessors[static_cast<std::size_t>(target)].push_back(source);
  }
  return edges;
}

/// The order the file asks for, checked.
std::vector<std::int32_t> GivenOrder(const Graph& graph, const Edges& edges,
                                     const std::string& where) {
  const std::string place = where + ":/graph/order";
  std::vector<std::int32_t> order{};
  std::vector<bool> is_done(graph.nodes.size(), false);
  for (const NodeName& name : *graph.order) {
    const std::int32_t node = Find(graph, name, place);
    for (const std::int32_t before : edges.predecessors[static_cast<std::size_t>(node)]) {
      if (!is_done[static_cast<std::size_t>(before)]) {
        throw InputError(
            place, fmt::format("node {} comes before node {}, which it needs", Quoted(Text(name)),
                               Quoted(graph.nodes[static_cast<std::size_t>(before)].name)));
      }
    }
    if (is_done[static_cast<std::size_t>(node)]) {
      throw InputError(place, fmt::format("node {} comes twice", Quoted(Text(name))));
    }
    is_done[static_cast<std::size_t>(node)] = true;
    order.push_back(node);
  }
  if (order.size() != graph.nodes.size()) {
    throw InputError(place, fmt::format("has {} of {} nodes", order.size(), graph.nodes.size()));
  }
  return order;
}

std::vector<std::int32_t> OrderOf(const Graph& graph, const Edges& edges,
                                  const std::string& where) {
  if (graph.order) return GivenOrder(graph, edges, where);
  std::vector<std::int32_t> order = TopologicalOrder(edges.successors);
  if (order.size() != graph.nodes.size()) {
    throw InputError(where + ":/links",
                     fmt::format("make a cycle: only {} of {} nodes can be put in order",
                                 order.size(), graph.nodes.size()));
  }
  return order;
}

}  // namespace

Profile ReadNodeLink(const std::string& text, const std::string& where) {
  const Graph graph = ReadGraph(text, where);
  const Edges edges = MakeEdges(graph, where);
  const std::vector<std::int32_t> order = OrderOf(graph, edges, where);
  ProfileBuilder builder{};
  std::vector<BufferId> made(graph.nodes.size());
  for (const std::int32_t index : order) {
    const auto i = static_cast<std::size_t>(index);
    const Node& node = graph.nodes[i];
    const bool is_read = !edges.successors[i].empty();
    // A number for a name would only confuse beside the buffer's own.
    const bool is_number = ToInteger(node.name) >= 0;
    made[i] = builder.Add(Buffer{.name = is_number ? "" : node.name,
                                 .role = is_read ? BufferRole::kActivation : BufferRole::kOutput,
                                 .size_bytes = *node.size_bytes});
    GraphOp op{.name = node.name,
               .creates = {made[i]},
               .duration_ns = *node.duration_ns,
               .is_backward = node.is_backward};
    for (const std::int32_t source : edges.predecessors[i]) {
      op.reads.push_back(made[static_cast<std::size_t>(source)]);
    }
    builder.Add(op);
  }
  return builder.Build(graph.name, where);
}

}  // namespace stint::foreign
