// The strongest lower bound that one cut of the program gives, by parametric maximum flow.
//
// While op p runs for the first time, each buffer that is made before p and used after it is kept,
// or its creator runs again after p, and then what that reads is kept or made again, too. Keeping
// all of it does not fit; what must be given up costs at least
//
//     max over prices of   minimum cut(price) - price * free bytes
//
//     source --inf--> need(u) --price * bytes(u)--> run(creator of u) --duration--> sink
//                                                        |
//                                                        +--inf--> need(v), v read by it
//
// A cut of this graph says for each need whether it is kept (its edge to run is cut) or made again
// (run is on the source's side). The flow is the certificate: its edges are the multipliers of
// ir/check_certificate.h. Source of the cut: the one-stage case of Checkmate (arXiv 1910.02653);
// parametric closure as in Picard 1976.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/plan.h"
#include "planner/program.h"

namespace stint {

struct PeakCut {
  OpId op{};
  std::int64_t least_bytes = 0;    // No plan gets past this op with less.
  bool is_feasible = true;         // Whether least_bytes fit. The rest is empty if not.
  std::int64_t recompute_ns = 0;   // At least so long ops run again.
  double price_ns_per_byte = 0;    // Of memory at this op.
  std::vector<bool> is_kept{};     // By buffer: resident at the cut in the best relaxed plan.
  std::vector<bool> runs_again{};  // By op, in that plan.
  Certificate certificate{};       // Of recompute_ns; plan_class is left empty.
};

/// A scale for multipliers of programs that take `total_ns`: fine, and far from overflow.
std::int64_t MultiplierScale(std::int64_t total_ns);

/// The bound at `op`, which creates something. `program` is in the recorded order.
/// O(maximum flows in a graph of arguments before `op`), a few dozen at most.
PeakCut CutAt(const Program& program, OpId op, std::int64_t budget_bytes);

/// The best of the cuts at the ops where `order`, the same program in any order, holds most when
/// it keeps everything: one of each of `window_count` parts of equal length. Stops at one that is
/// infeasible.
PeakCut BestCut(const Program& program, const Program& order, std::int64_t budget_bytes,
                int window_count);

}  // namespace stint
