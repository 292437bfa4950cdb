// Published planners of other projects behind Stint's own interface, to compare with: each on the
// same cost model, checked by the same checks.
//
// All of them order ops as recorded. Those that speak of a forward pass take the ops before the
// border for it: the first op that ran inside backward, or, where the profile does not say, the op
// at the peak of keeping everything. None but dtr plans programs with a phase that repeats: there
// they keep everything or give up, and say so in SolveResult::parts. They prove no bounds besides
// those of planner/bounds.h.
#pragma once

#include <memory>

#include "planner/solver.h"

namespace stint {

/// "sqrt-n": equal segments of the forward pass, of which borders are kept; about sqrt(n) of them,
/// or as many as are fastest within the budget (Chen et al. 2016, arXiv:1604.06174).
std::unique_ptr<Solver> MakeSqrtNSolver();

/// "chen-greedy": a segment ends when it has made b bytes; b is swept (Chen et al. 2016, algorithm
/// 3), over all ops and over the points through which all must pass.
std::unique_ptr<Solver> MakeChenGreedySolver();

/// "modules": what crosses the borders of modules is kept, as gradient_checkpointing does; each
/// depth of module paths, and all or some first modules of it.
std::unique_ptr<Solver> MakeModulesSolver();

/// "lower-sets": the approximate dynamic program of Kusumoto et al. (NeurIPS 2019) over chains of
/// sets of ops that are closed under predecessors.
std::unique_ptr<Solver> MakeLowerSetsSolver();

/// "dtr": evicts on demand what is cheap, large and stale (Kirisame et al., ICLR 2021), the best of
/// three of its heuristics.
std::unique_ptr<Solver> MakeDtrSolver();

/// "checkmate": the mixed-integer program of Jain et al. (MLSys 2020), after its rounding of the
/// linear one. For small graphs, through HiGHS.
std::unique_ptr<Solver> MakeCheckmateSolver();

/// "knapsack": PyTorch's activation_memory_budget: which ops' results to save across the border is
/// a 0/1 knapsack of runtimes.
std::unique_ptr<Solver> MakeKnapsackSolver();

/// "moccasin": each op at most twice, as intervals of retention over the recorded order (Bartan et
/// al., ICML 2023), by large-neighbourhood search.
std::unique_ptr<Solver> MakeMoccasinSolver();

}  // namespace stint
