#include "planner/solver.h"

namespace stint {

std::int64_t KeepAllDurationNs(const Profile& profile) {
  std::int64_t duration_ns = 0;
  for (const Phase& phase : profile.phases) {
    for (std::size_t op = Index(phase.begin); op < Index(phase.end); ++op) {
      duration_ns += profile.ops[op].duration_ns * phase.repeat_count;
    }
  }
  return duration_ns;
}

bool IsCloseEnough(const Profile& profile, const SolveOptions& options, const SolveProgress& best) {
  if (best.duration_ns == 0) return false;
  const auto gap_ns = static_cast<double>(best.duration_ns - best.lower_bound_ns);
  return gap_ns <= options.gap * static_cast<double>(KeepAllDurationNs(profile));
}

bool Solver::MakesCopies(const Profile& profile) const {
  static_cast<void>(profile);
  return false;
}

}  // namespace stint
