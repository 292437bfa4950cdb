// An order of ops in which each comes after those it depends on.
#pragma once

#include <cstdint>
#include <vector>

namespace stint::foreign {

/// Nodes 0 .. successors.size() - 1 in topological order: those whose predecessors are all done,
/// first come, first served, beginning with the sources in ascending order. Edges may repeat. Nodes
/// on a cycle, and behind one, are missing. O(nodes + edges).
std::vector<std::int32_t> TopologicalOrder(
    const std::vector<std::vector<std::int32_t>>& successors);

}  // namespace stint::foreign
