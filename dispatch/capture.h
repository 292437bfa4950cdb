// Hollow capture: runs a program once, op by op, with tensors that have device, sizes and strides
// but no memory, and writes down what it does. Each op that was not seen before is run on scratch
// memory with random content on the real device for its requests, and is timed; ops seen before
// need not run at all. So the capture of a 40 GiB step takes the memory of its largest op. Works on
// any callable: forward, backward, optimizer.
//
// The recorder holds no reference to any tensor: reference counts decide whether autograd adds
// gradients in place or steals them, so the recorded ops are those of an ordinary run.
//
// A program under capture only issues ATen ops. What fills tensors through their memory throws
// (torch::tensor of a list, from_blob of one's own data); at::full, at::arange and Persistent work.
#pragma once

#include <cstdint>
#include <functional>

#include "dispatch/device_runtime.h"
#include "dispatch/program.h"
#include "ir/profile.h"

namespace stint {

struct OpTiming {
  std::int64_t duration_ns = 0;  // Median.
  std::int64_t spread_ns = 0;    // Half the interquartile range.
};

struct CaptureOptions {
  /// Times one distinct op: calls its argument, which issues the op once on scratch memory, as
  /// often as it likes. Empty: durations stay 0.
  std::function<OpTiming(const std::function<void()>& issue)> time_op{};
  /// After each run of an op for its requests, with arguments and results still in memory; may be
  /// empty.
  std::function<void()> on_run{};
  std::function<void(std::int64_t op_count)> on_op{};  // Progress; may be empty.
};

/// Runs `program` once under capture on `runtime`'s device. Fills buffers, tensors, ops and phases
/// of the result; the caller fills workload, device and context. Library workspaces (requests that
/// outlive their op without being an output) become persistent buffers. A program without phases is
/// one phase, "step".
/// @throws InputError naming op and module if an op reads memory that the program did not make (a
/// tensor from outside), copies data to the host (item, nonzero), resizes a tensor, or draws random
/// numbers without a generator argument; naming the phase if it is empty.
Profile CaptureProgram(const Program& program, DeviceRuntime& runtime,
                       const CaptureOptions& options);

}  // namespace stint
