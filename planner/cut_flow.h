// The flow network of one cut; see planner/peak_cut.h for what it means.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ir/ids.h"
#include "planner/program.h"

namespace stint {

/// What it costs to keep and to run again in one minimum cut.
struct CutPrices {
  std::int64_t keep_per_block = 0;  // Of 512 bytes.
  std::int64_t run_per_ns = 0;
};

/// One edge's flow: the multiplier of a row.
struct CutFlowEdge {
  OpId op{};  // The op that reads the buffer when it runs again; unused for needs.
  BufferId buffer{};
  std::int64_t flow = 0;  // > 0.
};

struct CutSolution {
  std::int64_t kept_blocks = 0;
  std::int64_t run_ns = 0;
  std::vector<BufferId> kept{};
  std::vector<OpId> runs{};
  std::vector<CutFlowEdge> needs{};
  std::vector<CutFlowEdge> closures{};
};

class CutFlow {
 public:
  /// Keeps a reference to `program`, which is in the recorded order.
  CutFlow(const Program& program, OpId cut);
  ~CutFlow();
  CutFlow(const CutFlow&) = delete;
  CutFlow& operator=(const CutFlow&) = delete;

  /// What the cut's op takes and reads, and all persistent buffers.
  std::int64_t taken_bytes() const { return taken_bytes_; }
  /// A minimum cut; of several the one that keeps least.
  CutSolution Solve(const CutPrices& prices);

 private:
  struct Network;

  std::int64_t taken_bytes_ = 0;
  std::unique_ptr<Network> network_;
};

}  // namespace stint
