// write_small_state PATH [wide]: a training state for tests/files/torch_test.py.
#include <exception>
#include <iostream>
#include <string>

#include "tests/files/small_state.h"

int main(int argc, char** argv) {
  try {
    const stint::SmallState small(5);
    if (argc == 3) {
      stint::WritePth(argv[1], {stint::PthDict{{{"w"}, {small.state.model[0].tensor}}}}, 0);
    } else {
      stint::WriteTrainingState(argv[1], small.state);
    }
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
