// The solvers by their constructors, for the registry.
#pragma once

#include <memory>

#include "planner/solver.h"

namespace stint {

/// "keep-all": every op once, nothing recomputed. Optimal where it fits, O(n).
std::unique_ptr<Solver> MakeKeepAllSolver();

/// "greedy": lookahead recomputation, the best of several eviction rules. O(n * resident buffers)
/// for each rule in practice; deterministic unless the time limit or `stop` ends it.
std::unique_ptr<Solver> MakeGreedySolver();

/// "search": annealing over sets of recomputations on two threads (planner/recompute_search.h),
/// from the better of greedy's schedule and its own first one; greedy's where a phase repeats.
/// Takes the whole time limit unless its moves, a few thousand an op, are used up before;
/// deterministic unless the time limit or `stop` ends it.
std::unique_ptr<Solver> MakeSearchSolver();

/// "joint": what is kept, made again, offloaded and paged in shards, decided together, with
/// addresses (planner/joint_search.h); where no copies were measured or a phase repeats, search's.
/// Takes the whole time limit unless its moves are used up before; deterministic unless the time
/// limit or `stop` ends it.
std::unique_ptr<Solver> MakeJointSolver();

}  // namespace stint
