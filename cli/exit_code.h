// What the program's exit status says.
#pragma once

namespace stint {

enum class ExitCode {
  kDone = 0,         // Asked and answered.
  kFailed = 1,       // LibTorch, CUDA or the system failed.
  kWrongInput = 2,   // A flag or a file; the line on stderr names it.
  kInfeasible = 3,   // Proved: no plan fits the budget.
  kUnknown = 4,      // A limit came before a plan or a proof.
  kCheckFailed = 5,  // Predicted != measured, or planned results != unplanned ones.
  kBug = 70,         // Ours.
};

}  // namespace stint
