#include "ir/foreign/order.h"

namespace stint::foreign {

std::vector<std::int32_t> TopologicalOrder(
    const std::vector<std::vector<std::int32_t>>& successors) {
  std::vector<std::int32_t> missing_count(successors.size(), 0);
  for (const std::vector<std::int32_t>& nodes : successors) {
    for (const std::int32_t node : nodes) ++missing_count[static_cast<std::size_t>(node)];
  }
  std::vector<std::int32_t> order{};
  for (std::size_t i = 0; i < successors.size(); ++i) {
    if (missing_count[i] == 0) order.push_back(static_cast<std::int32_t>(i));
  }
  for (std::size_t done = 0; done < order.size(); ++done) {
    for (const std::int32_t node : successors[static_cast<std::size_t>(order[done])]) {
      if (--missing_count[static_cast<std::size_t>(node)] == 0) order.push_back(node);
    }
  }
  return order;
}

}  // namespace stint::foreign
