// stint inspect and stint convert, from the shell.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "files/checkpoint.h"
#include "tests/cli/stint_program.h"
#include "tests/files/stable_diffusion_names.h"

namespace stint {
namespace {

using testing::HasSubstr;

class FilesCommandTest : public StintProgramTest {
 protected:
  FilesCommandTest() {
    SmallTensors values(1);
    WriteOriginal(folder_ / "m.safetensors", SourcesOf(Sd15Tensors(values)), "m");
  }
};

TEST_F(FilesCommandTest, InspectSaysWhatAFileHolds) {
  const Outcome table = Stint("inspect m.safetensors");
  EXPECT_EQ(table.exit_code, 0) << table.err;
  EXPECT_THAT(table.out, HasSubstr("original single file"));
  EXPECT_THAT(table.out, HasSubstr("SD 1.x"));

  const auto json = nlohmann::json::parse(Stint("inspect m.safetensors --json").out);
  EXPECT_EQ(json.at("model"), "SD 1.x");
  EXPECT_EQ(json.at("components").at(0).at("name"), "unet");
  EXPECT_EQ(json.at("components").at(0).at("tensor_count"), 686);
}

TEST_F(FilesCommandTest, ConvertTurnsAFileIntoAFolderAndBack) {
  EXPECT_EQ(Stint("convert --input m.safetensors --output m").exit_code, 0);
  EXPECT_TRUE(Exists("m/vae/diffusion_pytorch_model.safetensors"));
  EXPECT_EQ(Stint("convert --input m --output again.safetensors").exit_code, 0);
  EXPECT_EQ(Read("again.safetensors"), Read("m.safetensors"));
}

TEST_F(FilesCommandTest, BadFilesAreOneLineAndLeaveNothing) {
  Write("pickle.ckpt",
        "\x80\x02"
        "cposix\nsystem\n");
  Write("cut.safetensors", Read("m.safetensors").substr(0, 1000));
  for (const char* file : {"pickle.ckpt", "cut.safetensors", "missing.safetensors"}) {
    for (const std::string command : {"inspect ", "convert --output out --input "}) {
      const Outcome outcome = Stint(command + file);
      EXPECT_EQ(outcome.exit_code, 2) << file;
      EXPECT_EQ(outcome.out, "");
      EXPECT_THAT(outcome.err, HasSubstr(std::string("stint: ") + file + ": "));
      EXPECT_EQ(outcome.err.find('\n'), outcome.err.size() - 1);
      EXPECT_FALSE(Exists("out"));
    }
  }
  EXPECT_THAT(Stint("inspect pickle.ckpt").err, HasSubstr("a pickle is a program"));
}

}  // namespace
}  // namespace stint
