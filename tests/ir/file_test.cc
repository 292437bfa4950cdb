#include "ir/file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "ir/errors.h"
#include "ir/gzip.h"

namespace stint {
namespace {

namespace fs = std::filesystem;

/// A new folder for each test, gone after it.
class FileTest : public testing::Test {
 protected:
  FileTest() {
    folder_ =
        fs::temp_directory_path() / ("stint_file_test_" + std::to_string(::getpid()) + "_" +
                                     testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(folder_);
  }
  ~FileTest() override { fs::remove_all(folder_); }

  std::ptrdiff_t FileCount() const {
    return std::distance(fs::directory_iterator(folder_), fs::directory_iterator());
  }

  fs::path folder_;
};

TEST_F(FileTest, ReadsWhatItWrote) {
  WriteText(folder_ / "a.json", "text");
  WriteText(folder_ / "a.json", "other text");

  EXPECT_EQ(ReadText(folder_ / "a.json"), "other text");
  EXPECT_EQ(FileCount(), 1);
}

TEST_F(FileTest, GzipsByNameAndWithoutATime) {
  const std::string text(100000, 'a');
  WriteText(folder_ / "a.json.gz", text);
  WriteText(folder_ / "plain", "");
  const std::string bytes = Gzip(text);

  EXPECT_LT(fs::file_size(folder_ / "a.json.gz"), 1000u);
  EXPECT_EQ(ReadText(folder_ / "a.json.gz"), text);
  EXPECT_EQ(ReadText(folder_ / "plain"), "");
  EXPECT_EQ(bytes.substr(4, 4), std::string(4, '\0'));
}

TEST_F(FileTest, LeavesNothingBehindWhereItCannotWrite) {
  fs::create_directories(folder_ / "taken" / "inside");

  EXPECT_THROW(WriteText(folder_ / "taken", "text"), InputError);
  EXPECT_THROW(WriteText(folder_ / "missing" / "a.json", "text"), InputError);
  EXPECT_EQ(FileCount(), 1);
}

TEST_F(FileTest, WritesThroughLinksAndDevices) {
  WriteText(folder_ / "target", "old");
  fs::create_symlink(folder_ / "target", folder_ / "link");
  WriteText(folder_ / "link", "new");
  WriteText("/dev/null", "text");

  EXPECT_TRUE(fs::is_symlink(folder_ / "link"));
  EXPECT_EQ(ReadText(folder_ / "target"), "new");
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
}

TEST_F(FileTest, RefusesWhatItCannotRead) {
  EXPECT_THROW(ReadText(folder_ / "missing"), InputError);
  EXPECT_THROW(ReadText(folder_), InputError);
  WriteText(folder_ / "plain", "no gzip");
  fs::rename(folder_ / "plain", folder_ / "plain.gz");
  EXPECT_THROW(ReadText(folder_ / "plain.gz"), InputError);
}

std::string GunzipRefusal(const std::string& bytes, std::int64_t limit_bytes) {
  try {
    Gunzip(bytes, limit_bytes, "x.gz");
    return {};
  } catch (const InputError& error) {
    return error.what();
  }
}

TEST(GzipTest, RefusesBombsAndDamage) {
  const std::string bytes = Gzip(std::string(1 << 24, '\0'));
  ASSERT_LT(bytes.size(), 20000u);

  EXPECT_EQ(GunzipRefusal(bytes, 1 << 24), "");
  EXPECT_EQ(GunzipRefusal(bytes, 1 << 20), "x.gz: the gzip stream holds more than 1.00 MiB");
  EXPECT_EQ(GunzipRefusal(bytes.substr(0, bytes.size() - 1), 1 << 24),
            "x.gz: the gzip stream is cut off");
  EXPECT_EQ(GunzipRefusal("", 1), "x.gz: the gzip stream is cut off");
  EXPECT_EQ(GunzipRefusal(bytes + "x", 1 << 24), "x.gz: something follows the gzip stream");
}

TEST(Sha256Test, IsTheStandardOne) {
  EXPECT_EQ(Sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace stint
