#include "files/output_folder.h"

#include <gtest/gtest.h>

#include <fstream>

#include "ir/errors.h"

namespace stint {
namespace {

namespace fs = std::filesystem;

class OutputFolderTest : public testing::Test {
 protected:
  OutputFolderTest() { fs::create_directories(root_); }
  ~OutputFolderTest() override { fs::remove_all(root_); }

  std::ptrdiff_t EntryCount() const {
    return std::distance(fs::directory_iterator(root_), fs::directory_iterator());
  }

  fs::path root_ = fs::path(testing::TempDir()) / "output_folder_test";
};

TEST_F(OutputFolderTest, HasItsNameOnceItIsWhole) {
  const fs::path path = root_ / "model";
  {
    OutputFolder output(path / "");  // As "model/" on a command line.
    std::ofstream(output.temporary() / "file") << "text";
    EXPECT_FALSE(fs::exists(path));
    output.Commit();
  }
  EXPECT_TRUE(fs::exists(path / "file"));
  EXPECT_EQ(EntryCount(), 1);
}

TEST_F(OutputFolderTest, LeavesNothingUnlessItIsCommitted) {
  {
    const OutputFolder output(root_ / "model");
    std::ofstream(output.temporary() / "file") << "text";
  }
  EXPECT_EQ(EntryCount(), 0);
}

TEST_F(OutputFolderTest, NeverReplacesWhatIsThere) {
  fs::create_directory(root_ / "model");
  EXPECT_THROW(OutputFolder(root_ / "model"), InputError);
  EXPECT_THROW(OutputFolder(root_ / "missing" / "model"), InputError);
  // Nor what appears meanwhile.
  OutputFolder output(root_ / "late");
  fs::create_directory(root_ / "late");
  EXPECT_THROW(output.Commit(), InputError);
}

}  // namespace
}  // namespace stint
