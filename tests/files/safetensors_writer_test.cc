#include "files/safetensors_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstring>
#include <memory>

#include "files/safetensors.h"
#include "files/safetensors_index.h"
#include "ir/errors.h"
#include "ir/file.h"
#include "tests/support/temporary_folder.h"

namespace stint {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

namespace fs = std::filesystem;

/// `size_bytes` bytes that count up from `first`.
TensorSource Counting(const std::string& name, Dtype dtype, std::vector<std::int64_t> sizes,
                      int first) {
  const std::int64_t size_bytes = ByteCount(dtype, sizes);
  return {.name = name, .dtype = dtype, .sizes = std::move(sizes), .write = [=](const auto& sink) {
            for (std::int64_t i = 0; i < size_bytes; ++i) {
              const auto byte = static_cast<std::byte>(first + i);
              sink({&byte, 1});
            }
          }};
}

std::vector<TensorSource> ThreeTensors() {
  return {Counting("odd", Dtype::kU8, {3}, 1), Counting("half", Dtype::kBf16, {2, 1}, 10),
          Counting("one", Dtype::kF64, {}, 20)};
}

int FirstByte(const TensorView& tensor) { return std::to_integer<int>(tensor.data[0]); }

TEST(SafetensorsWriterTest, WritesWhatTheReaderReadsAlignedAndWithItsMetadata) {
  const TemporaryFolder folder;
  WriteSafetensors(folder / "a.safetensors", ThreeTensors(), {{"format", "pt"}});

  const SafetensorsFile file(folder / "a.safetensors");
  ASSERT_EQ(file.tensors().size(), 3U);
  EXPECT_EQ(FirstByte(file.tensors().at("odd")), 1);
  EXPECT_EQ(FirstByte(file.tensors().at("half")), 10);
  EXPECT_EQ(FirstByte(file.tensors().at("one")), 20);
  EXPECT_THAT(file.tensors().at("half").sizes, ElementsAre(2, 1));
  EXPECT_EQ(file.metadata(), (Metadata{{"format", "pt"}}));
  for (const auto& [name, tensor] : file.tensors()) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.data.data()) %
                  static_cast<std::uintptr_t>(ElementBytes(tensor.dtype)),
              0U)
        << name;
  }
}

TEST(SafetensorsWriterTest, RefusesTwoTensorsOfOneName) {
  const TemporaryFolder folder;
  EXPECT_THROW(
      WriteSafetensors(folder / "a.safetensors",
                       {Counting("a", Dtype::kU8, {1}, 0), Counting("a", Dtype::kU8, {1}, 0)}, {}),
      InputError);
  EXPECT_EQ(folder.FileCount(), 0);
}

TEST(SafetensorsWriterTest, AFullDiskLeavesTheOldFileAndNothingElse) {
  const TemporaryFolder folder;
  const fs::path path = folder / "a.safetensors";
  WriteSafetensors(path, {Counting("old", Dtype::kU8, {1}, 7)}, {});
  rlimit limit = {};
  getrlimit(RLIMIT_FSIZE, &limit);
  const rlimit small = {.rlim_cur = 1000, .rlim_max = limit.rlim_max};
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);
  std::string refusal;
  try {
    WriteSafetensors(path, {Counting("new", Dtype::kU8, {2000}, 0)}, {});
  } catch (const InputError& error) {
    refusal = error.what();
  }
  setrlimit(RLIMIT_FSIZE, &limit);
  std::signal(SIGXFSZ, old_handler);

  EXPECT_EQ(refusal, path.string() + ": cannot be written (File too large)");
  EXPECT_EQ(folder.FileCount(), 1);
  EXPECT_EQ(SafetensorsFile(path).tensors().count("old"), 1U);
}

TEST(SafetensorsWriterTest, CutsShardsAndWritesTheirIndex) {
  const TemporaryFolder folder;
  const std::vector<TensorSource> tensors = {Counting("a", Dtype::kU8, {6}, 0),
                                             Counting("b", Dtype::kU8, {4}, 0),
                                             Counting("c", Dtype::kU8, {20}, 0)};
  WriteShards(folder.path(), "model", tensors, {}, 10);

  // 6 + 4 fill the first; 20 is more than a shard should hold, but cannot be cut.
  const auto shard_of =
      ParseSafetensorsIndex(ReadText(folder / "model.safetensors.index.json"), "index");
  EXPECT_EQ(shard_of.at("b"), "model-00001-of-00002.safetensors");
  EXPECT_EQ(shard_of.at("c"), "model-00002-of-00002.safetensors");
  EXPECT_EQ(SafetensorsFile(folder / shard_of.at("c")).tensors().size(), 1U);

  WriteShards(folder.path(), "whole", tensors, {}, 30);
  EXPECT_EQ(SafetensorsFile(folder / "whole.safetensors").tensors().size(), 3U);
  EXPECT_FALSE(fs::exists(folder / "whole.safetensors.index.json"));
}

TEST(SafetensorsIndexTest, RefusesFilesOutsideOfItsFolder) {
  const auto refusal = [](const std::string& text) -> std::string {
    try {
      ParseSafetensorsIndex(text, "index.json");
    } catch (const InputError& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_EQ(refusal(R"({"weight_map": {"a": "x.safetensors"}})"), "accepted");
  EXPECT_EQ(refusal(R"({"weight_map": {"a": "../x.safetensors"}})"),
            "index.json:/weight_map/a: is not the name of a file beside the index");
  EXPECT_EQ(refusal(R"({"weight_map": {"a": "x", "a": "y"}})"),
            "index.json:/weight_map/a: is there twice");
  EXPECT_EQ(refusal(R"({"metadata": {}})"), "index.json: has no weight_map");
  EXPECT_THAT(refusal("[1"), HasSubstr("index.json: "));
}

}  // namespace
}  // namespace stint
