#include "files/tensorboard.h"

#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <string>

#include "ir/errors.h"

namespace stint {
namespace {

TEST(TensorBoardTest, NamesAFileThatCannotBeWritten) {
  const std::string folder = testing::TempDir() + "no_such_folder";
  try {
    const TensorBoardFile file(folder, 1);
    FAIL() << "wrote into a folder that is not there";
  } catch (const InputError& error) {
    EXPECT_EQ(error.where().find(folder + "/events.out.tfevents."), 0u) << error.where();
    EXPECT_EQ(error.fact(), "cannot be written");
  }
}

TEST(TensorBoardTest, WritesRecordsOfTheLengthsThatTheyName) {
  const std::string folder = testing::TempDir() + "tensorboard_lengths";
  std::filesystem::create_directory(folder);
  {
    TensorBoardFile file(folder, 1);
    file.Append(1, std::array{Scalar{.tag = "loss", .value = 0.5}});
  }
  // Frames of 16 bytes. Events: 9 of wall_time, 2 of step; then 2 + 13 of the version, 2 + 2 of the
  // session, 2 + 13 of a summary of one value: 2 + (2 + 4 of its tag, 5 of its number).
  const std::filesystem::path path = std::filesystem::directory_iterator(folder)->path();
  EXPECT_EQ(std::filesystem::file_size(path), 3u * (16 + 11) + 15 + 4 + 15);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace stint
