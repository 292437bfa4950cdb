#include "tests/cli/stint_program.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "ir/errors.h"

namespace stint {

StintProgramTest::StintProgramTest() {
  std::string pattern = (std::filesystem::temp_directory_path() / "stint_test_XXXXXX").string();
  Check(mkdtemp(pattern.data()) != nullptr, "a folder for the test can be made");
  folder_ = pattern;
}

StintProgramTest::~StintProgramTest() { std::filesystem::remove_all(folder_); }

Outcome StintProgramTest::Stint(const std::string& arguments) const {
  return Shell("\"$STINT\" " + arguments);
}

Outcome StintProgramTest::Shell(const std::string& command) const {
  const std::string whole = "cd '" + folder_.string() + "' && STINT='" STINT_PROGRAM "' && { " +
                            command + "\n} > .out 2> .err";
  const int status = std::system(whole.c_str());
  return {.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
          .out = Read(".out"),
          .err = Read(".err")};
}

std::string StintProgramTest::Read(const std::string& file) const {
  std::ostringstream text;
  text << std::ifstream(folder_ / file, std::ios::binary).rdbuf();
  return text.str();
}

void StintProgramTest::Write(const std::string& file, const std::string& text) const {
  std::ofstream(folder_ / file, std::ios::binary) << text;
}

}  // namespace stint
