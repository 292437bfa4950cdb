#include "dispatch/scope.h"

#include <ATen/SequenceNumber.h>
#include <torch/csrc/autograd/function.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "ir/errors.h"

namespace stint {
namespace {

/// Autograd numbers its nodes in the order they are made: those from `first_number` to the next
/// entry were made in `path`.
struct LoggedScope {
  std::uint64_t first_number = 0;
  std::string path{};
};

struct ThreadScopes {
  std::string path{};
  bool is_logging = false;
  std::vector<LoggedScope> log{};
};

thread_local ThreadScopes scopes;

void LogScope() {
  if (!scopes.is_logging) return;
  const std::uint64_t next_number = at::sequence_number::peek();
  if (!scopes.log.empty() && scopes.log.back().first_number == next_number) {
    scopes.log.back().path = scopes.path;
  } else {
    scopes.log.push_back({.first_number = next_number, .path = scopes.path});
  }
}

std::string PathOfNode(std::uint64_t number) {
  // What autograd gives to nodes that accumulate gradients, so that they run first.
  if (number == std::numeric_limits<std::uint64_t>::max()) return {};
  const auto next = std::upper_bound(
      scopes.log.begin(), scopes.log.end(), number,
      [](std::uint64_t value, const LoggedScope& scope) { return value < scope.first_number; });
  return next == scopes.log.begin() ? std::string() : std::prev(next)->path;
}

}  // namespace

ModuleScope::ModuleScope(std::string_view name) : outer_length_(scopes.path.size()) {
  if (!scopes.path.empty()) scopes.path += '.';
  scopes.path += name;
  LogScope();
}

ModuleScope::~ModuleScope() {
  scopes.path.resize(outer_length_);
  LogScope();
}

ScopedNodeLog::ScopedNodeLog() {
  Check(!scopes.is_logging, "node logs do not nest");
  scopes.is_logging = true;
  LogScope();
}

ScopedNodeLog::~ScopedNodeLog() {
  scopes.is_logging = false;
  scopes.log.clear();
}

std::string CurrentModulePath() {
  const std::shared_ptr<torch::autograd::Node> node = torch::autograd::get_current_node();
  return node == nullptr ? scopes.path : PathOfNode(node->sequence_nr());
}

}  // namespace stint
