#include "planner/cut_flow.h"

#include <algorithm>
#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/boykov_kolmogorov_max_flow.hpp>
#include <boost/range/iterator_range.hpp>
#include <limits>

#include "ir/units.h"

namespace stint {
namespace {

using Traits = boost::adjacency_list_traits<boost::vecS, boost::vecS, boost::directedS>;
using Graph = boost::adjacency_list<
    boost::vecS, boost::vecS, boost::directedS,
    boost::property<
        boost::vertex_color_t, boost::default_color_type,
        boost::property<boost::vertex_distance_t, std::int64_t,
                        boost::property<boost::vertex_predecessor_t, Traits::edge_descriptor>>>,
    boost::property<
        boost::edge_capacity_t, std::int64_t,
        boost::property<boost::edge_residual_capacity_t, std::int64_t,
                        boost::property<boost::edge_reverse_t, Traits::edge_descriptor>>>>;
using Node = Traits::vertex_descriptor;
using Edge = Traits::edge_descriptor;

constexpr std::int64_t kUnlimited = std::numeric_limits<std::int64_t>::max() / 4;

std::int64_t Times(std::int64_t a, std::int64_t b) {
  std::int64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? kUnlimited : std::min(product, kUnlimited);
}

}  // namespace

struct CutFlow::Network {
  struct Need {
    BufferId buffer{};
    std::int64_t blocks = 0;
    Node node{};
    Node kept_by{};  // Where its edge leads: the run of its creator, or the sink.
    Edge edge{};
  };
  struct Run {
    OpId op{};
    std::int64_t duration_ns = 0;
    Node node{};
    Edge edge{};
  };
  struct Demand {
    OpId op{};  // Unused where the source demands it.
    BufferId buffer{};
    Edge edge{};
  };

  Network(const Program& program_in, OpId cut_in)
      : program(program_in),
        cut(static_cast<std::int32_t>(Index(cut_in))),
        need_of(program.buffers.size(), -1),
        run_of(program.ops.size(), -1),
        is_read(program.buffers.size(), false),
        is_needed(program.buffers.size(), false) {
    for (const BufferId buffer : program.ops[Index(cut_in)].reads) is_read[Index(buffer)] = true;
    for (std::size_t i = 0; i < program.buffers.size(); ++i) {
      const BufferId buffer{static_cast<std::int32_t>(i)};
      const MovableBuffer& facts = program.buffers[i];
      if (!IsBefore(buffer) || !IsUsedAfter(facts)) continue;
      const bool is_written = !facts.writes.empty() && facts.writes.front() <= cut;
      needs.push_back({.buffer = buffer, .edge = Join(source, NeedNode(buffer, !is_written))});
      is_needed[i] = true;
    }
  }

  Edge Join(Node from, Node to) {
    const Edge edge = boost::add_edge(from, to, graph).first;
    const Edge back = boost::add_edge(to, from, graph).first;
    boost::put(boost::edge_reverse, graph, edge, back);
    boost::put(boost::edge_reverse, graph, back, edge);
    boost::put(boost::edge_capacity, graph, edge, kUnlimited);
    boost::put(boost::edge_capacity, graph, back, 0);
    return edge;
  }

  /// Made before the cut, and not resident at it anyway.
  bool IsBefore(BufferId buffer) const {
    const std::int32_t creator = program.buffers[Index(buffer)].creator;
    return creator != kNoOp && creator < cut && !is_read[Index(buffer)];
  }
  /// By an op that cannot come before the cut in any plan: those that create nothing may.
  bool IsUsedAfter(const MovableBuffer& buffer) const {
    return std::any_of(buffer.uses.rbegin(), buffer.uses.rend(), [&](std::int32_t use) {
      return use > cut && (use == program.op_count ||
                           !program.ops[static_cast<std::size_t>(use)].creates.empty());
    });
  }
  bool CanRunAgain(std::int32_t op) const {
    const ProgramOp& facts = program.ops[static_cast<std::size_t>(op)];
    return facts.is_recomputable && facts.lost_at > cut;
  }

  /// `can_come_back`: the value in question is what its creator makes.
  Node NeedNode(BufferId buffer, bool can_come_back) {
    std::int32_t& index = need_of[Index(buffer)];
    if (index < 0) {
      index = static_cast<std::int32_t>(all_needs.size());
      const MovableBuffer& facts = program.buffers[Index(buffer)];
      all_needs.push_back({.buffer = buffer,
                           .blocks = facts.residence_bytes / kAlignmentBytes,
                           .node = boost::add_vertex(graph)});
      const Node kept_by =
          can_come_back && CanRunAgain(facts.creator) ? RunNode(facts.creator) : sink;
      Need& need = all_needs[static_cast<std::size_t>(need_of[Index(buffer)])];
      need.kept_by = kept_by;
      need.edge = Join(need.node, kept_by);
    }
    return all_needs[static_cast<std::size_t>(need_of[Index(buffer)])].node;
  }

  Node RunNode(std::int32_t op) {
    std::int32_t& index = run_of[static_cast<std::size_t>(op)];
    if (index < 0) {
      index = static_cast<std::int32_t>(runs.size());
      const ProgramOp& facts = program.ops[static_cast<std::size_t>(op)];
      const Node node = boost::add_vertex(graph);
      runs.push_back({.op = facts.id,
                      .duration_ns = facts.duration_ns,
                      .node = node,
                      .edge = Join(node, sink)});
      open.push_back(op);
    }
    return runs[static_cast<std::size_t>(run_of[static_cast<std::size_t>(op)])].node;
  }

  /// Gives each run that was met the needs of what it reads, until there are no new ones.
  void Close() {
    while (!open.empty()) {
      const std::int32_t op = open.back();
      open.pop_back();
      const Node node = runs[static_cast<std::size_t>(run_of[static_cast<std::size_t>(op)])].node;
      const ProgramOp& facts = program.ops[static_cast<std::size_t>(op)];
      for (const BufferId buffer : facts.reads) {
        // What is needed anyway, this run needs, too.
        if (!IsBefore(buffer) || is_needed[Index(buffer)]) continue;
        const std::vector<std::int32_t>& writes = program.buffers[Index(buffer)].writes;
        const bool is_as_created = writes.empty() || writes.front() > op;
        const bool is_written = !writes.empty() && writes.front() <= cut;
        // Two values of one buffer are too much for one node; left out, the bound is weaker.
        if (is_as_created && is_written) continue;
        closures.push_back({.op = facts.id,
                            .buffer = buffer,
                            .edge = Join(node, NeedNode(buffer, is_as_created))});
      }
    }
  }

  /// By node: whether the sink can be reached along edges that are not full. What it cannot be
  /// reached from is the source's side of a minimum cut: of all the one in which most runs again.
  std::vector<bool> ReachesSink() const {
    std::vector<bool> reaches(boost::num_vertices(graph), false);
    reaches[sink] = true;
    std::vector<Node> stack{sink};
    while (!stack.empty()) {
      const Node node = stack.back();
      stack.pop_back();
      for (const Edge& edge : boost::make_iterator_range(boost::out_edges(node, graph))) {
        const Edge back = boost::get(boost::edge_reverse, graph, edge);
        const Node from = boost::target(edge, graph);
        if (!reaches[from] && boost::get(boost::edge_residual_capacity, graph, back) > 0) {
          reaches[from] = true;
          stack.push_back(from);
        }
      }
    }
    return reaches;
  }

  std::int64_t FlowOf(Edge edge) const {
    return boost::get(boost::edge_capacity, graph, edge) -
           boost::get(boost::edge_residual_capacity, graph, edge);
  }

  const Program& program;
  std::int32_t cut;
  Graph graph{2};
  Node source = 0;
  Node sink = 1;
  std::vector<std::int32_t> need_of;  // By buffer: index into all_needs; -1: none.
  std::vector<std::int32_t> run_of;   // By op: index into runs; -1: none.
  std::vector<bool> is_read;          // By buffer: by the cut's op.
  std::vector<bool> is_needed;        // By buffer: after the cut, whatever runs again.
  std::vector<std::int32_t> open{};   // Ops whose reads are still to be looked at.
  std::vector<Need> all_needs{};
  std::vector<Run> runs{};
  std::vector<Demand> needs{};
  std::vector<Demand> closures{};
};

CutFlow::CutFlow(const Program& program, OpId cut)
    : network_(std::make_unique<Network>(program, cut)) {
  network_->Close();
  const ProgramOp& op = program.ops[Index(cut)];
  taken_bytes_ = program.persistent_bytes + op.script_peak_bytes;
  for (const BufferId buffer : op.reads) {
    taken_bytes_ += program.buffers[Index(buffer)].residence_bytes;
  }
}

CutFlow::~CutFlow() = default;

CutSolution CutFlow::Solve(const CutPrices& prices) {
  Network& network = *network_;
  Graph& graph = network.graph;
  for (const Network::Need& need : network.all_needs) {
    boost::put(boost::edge_capacity, graph, need.edge, Times(prices.keep_per_block, need.blocks));
  }
  for (const Network::Run& run : network.runs) {
    boost::put(boost::edge_capacity, graph, run.edge, Times(prices.run_per_ns, run.duration_ns));
  }
  boost::boykov_kolmogorov_max_flow(graph, network.source, network.sink);
  const std::vector<bool> reaches_sink = network.ReachesSink();
  const auto is_needed = [&](Node node) { return !reaches_sink[node]; };
  CutSolution solution{};
  for (const Network::Need& need : network.all_needs) {
    if (is_needed(need.node) && !is_needed(need.kept_by)) {
      solution.kept_blocks += need.blocks;
      solution.kept.push_back(need.buffer);
    }
  }
  for (const Network::Run& run : network.runs) {
    if (!is_needed(run.node)) continue;
    solution.run_ns += run.duration_ns;
    solution.runs.push_back(run.op);
  }
  const auto collect = [&](const std::vector<Network::Demand>& demands,
                           std::vector<CutFlowEdge>& flows) {
    for (const Network::Demand& demand : demands) {
      const std::int64_t flow = network.FlowOf(demand.edge);
      if (flow > 0) flows.push_back({.op = demand.op, .buffer = demand.buffer, .flow = flow});
    }
  };
  collect(network.needs, solution.needs);
  collect(network.closures, solution.closures);
  return solution;
}

}  // namespace stint
