// A program is a callable that runs against a host. The same program is captured (its tensors
// hollow), run as it is (the unplanned run), and, through its profile, planned and executed.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "ir/profile.h"

namespace stint {

/// What a program asks of whoever runs it.
class ProgramHost {
 public:
  virtual ~ProgramHost() = default;

  virtual torch::Device device() const = 0;

  /// A tensor that exists before the program begins and after it ends: a weight, an optimizer
  /// state, an input. Contiguous in `format`; names are unique within a program.
  virtual torch::Tensor Persistent(
      const std::string& name, BufferRole role, const std::vector<std::int64_t>& sizes,
      torch::ScalarType dtype, torch::MemoryFormat format = torch::MemoryFormat::Contiguous) = 0;

  /// Runs `body` repeat_count times as one phase of the program; a capture runs it once. Ops belong
  /// to exactly one phase; phases do not nest.
  virtual void Phase(const std::string& name, std::int64_t repeat_count,
                     const std::function<void()>& body) = 0;

  /// `tensor` is a result: the gradient of the parameter `name` when it is final (kGradient), or
  /// what the caller reads after the run (kOutput). Keeps no reference to it.
  virtual void Mark(const torch::Tensor& tensor, const std::string& name, BufferRole role) = 0;
};

using Program = std::function<void(ProgramHost&)>;

}  // namespace stint
