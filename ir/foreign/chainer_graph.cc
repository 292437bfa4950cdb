// Reads Chainer graphs as Kusumoto et al. published them: ir/foreign/formats.h.
//
//     3 2                       variables, blocks
//     0 1024 /conv/W            number, bytes, name of a parameter or _
//     1 4096 _
//     2 4096 _
//     forward                   a block: inputs and outputs by number
//     2 1
//     1 _
//     0 _
//     2
//     Convolution2DFunction
//     {"sy": 1}                 details, not used
//     backward                  reads gradients and what else it says, makes gradients
//     3 2
//     2 gradient
//     1 input
//     0 input
//     1
//     0
//     Convolution2DFunction
//     {"sy": 1}
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ir/errors.h"
#include "ir/foreign/builder.h"
#include "ir/foreign/formats.h"
#include "ir/foreign/lines.h"
#include "ir/foreign/order.h"
#include "ir/quoted.h"

namespace stint::foreign {
namespace {

constexpr std::int64_t kConvolutionNs = 10;
constexpr std::int64_t kOtherNs = 1;

struct Variable {
  std::string name{};  // Empty for what has none.
  std::int64_t size_bytes = 0;
};

struct Block {
  std::string function{};
  std::string place{};                   // In the file.
  std::vector<std::size_t> inputs{};     // Variables whose value it reads.
  std::vector<std::size_t> gradients{};  // Variables whose gradient it reads.
  std::vector<std::size_t> outputs{};    // Variables whose value or gradient it makes.
  bool is_backward = false;
};

struct Graph {
  std::vector<Variable> variables{};
  std::vector<Block> blocks{};
};

std::size_t ReadVariable(Lines& lines, const Graph& graph, std::string_view word) {
  const std::int64_t variable = ToInteger(word);
  if (variable < 0 || variable >= static_cast<std::int64_t>(graph.variables.size())) {
    lines.Fail(fmt::format("'{}' is no variable", Quoted(word)));
  }
  return static_cast<std::size_t>(variable);
}

Variable ReadVariableLine(Lines& lines, std::size_t index) {
  const std::vector<std::string_view> words = Words(lines.Next(), 3);
  if (words.size() != 3 || ToInteger(words[0]) != static_cast<std::int64_t>(index)) {
    lines.Fail(fmt::format("is not variable {}: number, bytes, name", index));
  }
  const std::int64_t size_bytes = ToInteger(words[1]);
  if (size_bytes < 0) {
    lines.Fail(fmt::format("'{}' are no bytes from 0 to 2^50", Quoted(words[1])));
  }
  return {.name = words[2] == "_" ? "" : std::string(words[2]), .size_bytes = size_bytes};
}

Block ReadBlock(Lines& lines, const Graph& graph) {
  Block block{};
  const std::string_view direction = lines.Next();
  block.place = lines.Place();
  if (direction != "forward" && direction != "backward") {
    lines.Fail(fmt::format("is '{}', expected forward or backward", Quoted(direction)));
  }
  block.is_backward = direction == "backward";
  const std::vector<std::int64_t> counts = lines.NextIntegers(2);
  for (std::int64_t i = 0; i < counts[0]; ++i) {
    const std::vector<std::string_view> words = Words(lines.Next());
    if (words.size() != 2) lines.Fail("is no input: a variable and what of it is read");
    const std::size_t variable = ReadVariable(lines, graph, words[0]);
    const bool is_gradient = words[1] == "gradient";
    if (is_gradient && !block.is_backward) lines.Fail("is a gradient, read by a forward block");
    (is_gradient ? block.gradients : block.inputs).push_back(variable);
  }
  for (std::int64_t i = 0; i < counts[1]; ++i) {
    const std::size_t variable = ReadVariable(lines, graph, lines.Next());
    if (std::ranges::count(block.outputs, variable) == 0) block.outputs.push_back(variable);
  }
  block.function = lines.Next();
  lines.Next();
  return block;
}

Graph ReadGraph(const std::string& text, const std::string& where) {
  Lines lines(text, where);
  const std::vector<std::int64_t> counts = lines.NextIntegers(2);
  Graph graph{};
  for (std::int64_t i = 0; i < counts[0]; ++i) {
    graph.variables.push_back(ReadVariableLine(lines, graph.variables.size()));
  }
  for (std::int64_t i = 0; i < counts[1]; ++i) graph.blocks.push_back(ReadBlock(lines, graph));
  return graph;
}

/// Forward blocks in the order of their dependencies, first come, first served; then the backward
/// blocks, that of the value made last first.
class Order {
 public:
  explicit Order(const Graph& graph, const std::string& where)
      : graph_(graph), step_made_(graph.variables.size(), -1) {
    OrderForward(where);
    OrderBackward();
  }

  const std::vector<std::size_t>& blocks() const { return blocks_; }

 private:
  void OrderForward(const std::string& where) {
    std::vector<std::vector<std::int32_t>> users(graph_.variables.size());
    std::vector<std::vector<std::int32_t>> successors(graph_.blocks.size());
    for (std::size_t i = 0; i < graph_.blocks.size(); ++i) {
      for (const std::size_t variable : graph_.blocks[i].inputs) {
        if (!graph_.blocks[i].is_backward) users[variable].push_back(static_cast<int>(i));
      }
    }
    for (std::size_t i = 0; i < graph_.blocks.size(); ++i) {
      if (graph_.blocks[i].is_backward) continue;
      for (const std::size_t variable : graph_.blocks[i].outputs) {
        for (const std::int32_t user : users[variable]) successors[i].push_back(user);
      }
    }
    const std::vector<std::int32_t> order = TopologicalOrder(successors);
    if (order.size() != graph_.blocks.size()) {
      throw InputError(where, fmt::format("has a cycle: only {} of {} blocks can be put in order",
                                          order.size(), graph_.blocks.size()));
    }
    for (const std::int32_t block : order) {
      const auto i = static_cast<std::size_t>(block);
      if (graph_.blocks[i].is_backward) continue;
      for (const std::size_t variable : graph_.blocks[i].outputs) {
        step_made_[variable] = static_cast<std::int64_t>(blocks_.size());
      }
      blocks_.push_back(i);
    }
  }

  void OrderBackward() {
    std::vector<std::pair<std::int64_t, std::size_t>> backward{};
    for (std::size_t i = 0; i < graph_.blocks.size(); ++i) {
      if (!graph_.blocks[i].is_backward) continue;
      std::int64_t step = -1;
      for (const std::size_t v : graph_.blocks[i].gradients) step = std::max(step, step_made_[v]);
      backward.emplace_back(-step, i);
    }
    std::ranges::sort(backward);
    std::vector<bool> is_used(graph_.variables.size(), false);  // Its gradient, already.
    for (const auto& [key, i] : backward) {
      for (const std::size_t v : graph_.blocks[i].gradients) is_used[v] = true;
      for (const std::size_t v : graph_.blocks[i].outputs) {
        if (is_used[v]) {
          throw InputError(graph_.blocks[i].place,
                           fmt::format("adds to the gradient of variable {} after its use", v));
        }
      }
      blocks_.push_back(i);
    }
  }

  const Graph& graph_;
  std::vector<std::int64_t> step_made_;  // By variable: place in the order of its block.
  std::vector<std::size_t> blocks_{};
};

class Maker {
 public:
  explicit Maker(const Graph& graph)
      : graph_(graph), value_(graph.variables.size()), gradient_(graph.variables.size()) {
    std::vector<bool> is_made(graph.variables.size(), false);
    std::vector<bool> is_read(graph.variables.size(), false);
    for (const Block& block : graph.blocks) {
      for (const std::size_t i : block.inputs) is_read[i] = true;
      if (block.is_backward) continue;
      for (const std::size_t i : block.outputs) is_made[i] = true;
    }
    for (std::size_t i = 0; i < graph.variables.size(); ++i) {
      if (is_made[i] || !is_read[i]) continue;
      const Variable& variable = graph.variables[i];
      value_[i] = builder_.Add(
          Buffer{.name = variable.name,
                 .role = variable.name.empty() ? BufferRole::kInput : BufferRole::kWeight,
                 .size_bytes = variable.size_bytes,
                 .is_persistent = true});
    }
  }

  void Add(const Block& block) {
    GraphOp op{.duration_ns = block.function.starts_with("Conv") ? kConvolutionNs : kOtherNs,
               .is_backward = block.is_backward};
    for (const std::size_t i : block.inputs) op.reads.push_back(*value_[i]);
    for (const std::size_t i : block.gradients) op.reads.push_back(GradientOf(i));
    for (const std::size_t i : block.outputs) {
      std::optional<BufferId>& made = (block.is_backward ? gradient_ : value_)[i];
      if (made && !block.is_backward) {
        throw InputError(block.place, fmt::format("makes variable {} a second time", i));
      }
      if (made) op.reads.push_back(*made);  // The sum so far.
      made = builder_.Add(
          Buffer{.role = BufferRole::kActivation, .size_bytes = graph_.variables[i].size_bytes});
      op.creates.push_back(*made);
    }
    const std::string name = block.function + (block.is_backward ? "_backward" : "");
    op.name = name;
    builder_.Add(op);
  }

  Profile Build(const std::string& where) { return builder_.Build("chainer", where); }

 private:
  /// The gradient of a result of the whole program comes from outside: an op of no time makes it.
  BufferId GradientOf(std::size_t variable) {
    std::optional<BufferId>& gradient = gradient_[variable];
    if (!gradient) {
      gradient = builder_.Add(Buffer{.role = BufferRole::kActivation,
                                     .size_bytes = graph_.variables[variable].size_bytes});
      GraphOp op{.name = "first_gradient", .creates = {*gradient}, .is_backward = true};
      if (value_[variable]) op.reads.push_back(*value_[variable]);
      builder_.Add(op);
    }
    return *gradient;
  }

  const Graph& graph_;
  ProfileBuilder builder_{};
  std::vector<std::optional<BufferId>> value_;
  std::vector<std::optional<BufferId>> gradient_;
};

}  // namespace

Profile ReadChainerGraph(const std::string& text, const std::string& where) {
  const Graph graph = ReadGraph(text, where);
  const Order order(graph, where);
  Maker maker(graph);
  for (const std::size_t block : order.blocks()) maker.Add(graph.blocks[block]);
  return maker.Build(where);
}

}  // namespace stint::foreign
