// Module paths: which part of the model an op belongs to, also in backward. No LibTorch in this
// header.
#pragma once

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
};

/// Path of the op being issued: of the autograd node that runs, in backward, else of the open
/// scopes.
std::string CurrentModulePath();

}  // namespace stint
