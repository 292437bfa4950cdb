#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ir/errors.h"
#include "planner/rivals/rivals.h"
#include "planner/solvers.h"

namespace stint {

std::vector<std::unique_ptr<Solver>> AllSolvers() {
  std::vector<std::unique_ptr<Solver>> solvers{};
  solvers.push_back(MakeKeepAllSolver());
  solvers.push_back(MakeGreedySolver());
  solvers.push_back(MakeSearchSolver());
  solvers.push_back(MakeJointSolver());
  solvers.push_back(MakeSqrtNSolver());
  solvers.push_back(MakeChenGreedySolver());
  solvers.push_back(MakeModulesSolver());
  solvers.push_back(MakeLowerSetsSolver());
  solvers.push_back(MakeDtrSolver());
  solvers.push_back(MakeCheckmateSolver());
  solvers.push_back(MakeKnapsackSolver());
  solvers.push_back(MakeMoccasinSolver());
  return solvers;
}

std::unique_ptr<Solver> MakeSolver(const std::string& name) {
  std::vector<std::string> names{};
  for (std::unique_ptr<Solver>& solver : AllSolvers()) {
    if (solver->Name() == name) {
      return std::move(solver);
    }
    names.push_back(solver->Name());
  }
  throw InputError("--solver",
                   fmt::format("knows no solver \"{}\", only {}", name, fmt::join(names, ", ")));
}

}  // namespace stint
