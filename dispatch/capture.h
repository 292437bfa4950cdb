// Hollow capture: runs a program once, op by op, with tensors that have device, sizes and strides
// but no memory, and writes down what it does. Each op that was not seen before gets scratch memory
// with random content, is run on the real device for its requests, and is timed; ops seen before
// need not run at all. So the capture of a 40 GiB step takes the memory of its largest op. Works on
// any callable: forward, backward, optimizer.
//
// The recorder holds no reference to any tensor: reference counts decide whether autograd adds
// gradients in place or steals them, so the recorded ops are those of an ordinary run.
#pragma once

#include <cstdint>
#include <functional>

#include "dispatch/program.h"
#include "ir/profile.h"

namespace stint {

struct OpTiming {
  std::int64_t duration_ns = 0;  // Median.
  std::int64_t spread_ns = 0;    // Half the interquartile range.
};

struct CaptureOptions {
  DeviceKind device_kind{};
  /// Times one distinct op: calls its argument, which issues the op once on scratch memory, as
  /// often as it likes. Empty: durations stay 0.
  std::function<OpTiming(const std::function<void()>& issue)> time_op{};
  std::function<void(std::int64_t op_count)> on_op{};  // Progress; may be empty.
};

/// Runs `program` once under capture. Fills buffers, tensors, ops and phases of the result; the
/// caller fills workload, device and context. Library workspaces (requests that outlive their op
/// without being an output) become persistent buffers.
/// @throws InputError naming op and module if an op reads memory that the program did not make (a
/// tensor from outside), copies data to the host (item, nonzero), or draws random numbers without a
/// generator argument.
Profile CaptureProgram(const Program& program, const CaptureOptions& options);

}  // namespace stint
