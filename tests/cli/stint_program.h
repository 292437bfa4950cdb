// Runs the built program `stint` in a folder of its own.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

namespace stint {

struct Outcome {
  int exit_code = 0;
  std::string out{};
  std::string err{};
};

/// A temporary folder, gone with the test, in which the program runs.
class StintProgramTest : public ::testing::Test {
 protected:
  StintProgramTest();
  ~StintProgramTest() override;

  /// Runs `stint ARGUMENTS` through the shell: pipes and redirections work. The shell's variable
  /// $STINT is the program.
  Outcome Stint(const std::string& arguments) const;
  Outcome Shell(const std::string& command) const;

  std::string Read(const std::string& file) const;
  void Write(const std::string& file, const std::string& text) const;
  bool Exists(const std::string& file) const { return std::filesystem::exists(folder_ / file); }

  std::filesystem::path folder_;
};

}  // namespace stint
