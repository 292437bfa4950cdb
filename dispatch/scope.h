// Module paths: which part of the model an op belongs to, also in backward. No LibTorch in this
// header.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace stint {

/// Names the ops issued until the end of the scope, and the backward ops that autograd derives from
/// them:
///
///     const ModuleScope block("down_blocks.0");
///     const ModuleScope conv("resnets.1");      // ops: "down_blocks.0.resnets.1"
///
/// Costs next to nothing when nothing is recorded. Forward runs on one thread.
class ModuleScope {
 public:
  explicit ModuleScope(std::string_view name);
  ~ModuleScope();
  ModuleScope(const ModuleScope&) = delete;
  ModuleScope& operator=(const ModuleScope&) = delete;

 private:
  std::size_t outer_length_;  // Of the path outside this scope.
};

/// Remembers, until the end of its own scope, which ModuleScope each autograd node of this thread
/// is made in; without it, backward ops have no path. Does not nest.
class ScopedNodeLog {
 public:
  ScopedNodeLog();
  ~ScopedNodeLog();
  ScopedNodeLog(const ScopedNodeLog&) = delete;
  ScopedNodeLog& operator=(const ScopedNodeLog&) = delete;
};

/// Path of the op being issued: in backward, of the forward op that the running autograd node comes
/// from (empty where none is known, as when gradients are accumulated); else of the open scopes.
std::string CurrentModulePath();

}  // namespace stint
