#include "models/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>

#include "ir/errors.h"
#include "tests/models/safetensors_text.h"

namespace stint {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::map<std::string, SafetensorsEntry> Parse(const std::string& bytes) {
  return ParseSafetensors(std::as_bytes(std::span(bytes)), "w.safetensors");
}

std::string Refusal(const std::string& header, const std::string& data) {
  try {
    Parse(SafetensorsBytes(header, data));
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

const std::string kTwoTensors = R"({"__metadata__":{"format":"pt"},)"
                                R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                                R"("b":{"dtype":"I64","shape":[],"data_offsets":[8,16]}} )";

TEST(SafetensorsTest, ReadsNamesSizesAndBytes) {
  const std::string bytes = SafetensorsBytes(kTwoTensors, "01234567abcdefgh");
  const auto entries = Parse(bytes);
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries.at("a").dtype, "F32");
  EXPECT_THAT(entries.at("a").sizes, ElementsAre(2));
  EXPECT_EQ(std::memcmp(entries.at("a").data.data(), "01234567", 8), 0);
  EXPECT_THAT(entries.at("b").sizes, ElementsAre());
  EXPECT_EQ(std::memcmp(entries.at("b").data.data(), "abcdefgh", 8), 0);
}

TEST(SafetensorsTest, ReadsAFileAndNamesOneThatIsMissing) {
  const std::string path = WriteBytes(testing::TempDir() + "/two.safetensors",
                                      SafetensorsBytes(kTwoTensors, "01234567abcdefgh"));
  EXPECT_EQ(SafetensorsFile(path).entries().size(), 2U);
  try {
    SafetensorsFile("/nowhere/w.safetensors");
    FAIL() << "read a file that is not there";
  } catch (const InputError& error) {
    EXPECT_STREQ(error.what(), "/nowhere/w.safetensors: No such file or directory");
  }
}

TEST(SafetensorsTest, RefusesHeadersThatAreNoHeaders) {
  EXPECT_THROW(Parse("1234567"), InputError);
  EXPECT_THROW(Parse(std::string(8, '\xff') + "{}"), InputError);
  EXPECT_EQ(Refusal("{\"a\"", ""),
            "w.safetensors: has a header that is not JSON: byte 13 is wrong");
  EXPECT_EQ(Refusal("[]", ""), "w.safetensors: has a header that is not a JSON object");
}

TEST(SafetensorsTest, NamesTheTensorThatIsWrong) {
  EXPECT_EQ(Refusal(R"({"a":{"dtype":"F33","shape":[2],"data_offsets":[0,8]}})", "01234567"),
            "w.safetensors:a: has the unknown dtype \"F33\"");
  EXPECT_EQ(Refusal(R"({"a":{"dtype":"F32","data_offsets":[0,8]}})", "01234567"),
            "w.safetensors:a: has no shape");
  EXPECT_EQ(Refusal(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", "01234567"),
            "w.safetensors:a shape: holds -2, not a size");
  EXPECT_EQ(Refusal(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,12]}})", "01234567"),
            "w.safetensors:a: has data_offsets that are no range of the file's 8 bytes");
  EXPECT_EQ(Refusal(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", "01234567"),
            "w.safetensors:a: has 8 bytes, but its shape takes 12");
  EXPECT_EQ(Refusal(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],)"
                    R"("data_offsets":[0,0]}})",
                    ""),
            "w.safetensors:a: has a shape of more than 2^63 bytes");
  EXPECT_EQ(Refusal(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)"
                    R"("a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})",
                    ""),
            "w.safetensors:a: is there twice");
}

TEST(SafetensorsTest, RefusesOverlapsAndHoles) {
  const auto two = [](const std::string& a, const std::string& b) {
    return R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)" + a +
           R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + b + "}}";
  };
  EXPECT_EQ(Refusal(two("[0,4]", "[4,8]"), "01234567"), "accepted");
  EXPECT_EQ(Refusal(two("[4,8]", "[0,4]"), "01234567"), "accepted");
  EXPECT_THAT(Refusal(two("[0,4]", "[3,7]"), "0123456"),
              HasSubstr("w.safetensors:b: overlaps another tensor"));
  EXPECT_THAT(Refusal(two("[0,4]", "[5,9]"), "012345678"),
              HasSubstr("w.safetensors:b: begins after bytes that belong to no tensor"));
  EXPECT_THAT(Refusal(two("[0,4]", "[4,8]"), "012345678"),
              HasSubstr("w.safetensors: ends with bytes that belong to no tensor"));
}

class SafetensorsFuzz : public testing::TestWithParam<std::uint32_t> {};

// The bytes end where a page that cannot be read begins or the sanitizer watches; here every byte
// that an entry claims is read.
TEST_P(SafetensorsFuzz, DamagedFilesAreRefusedOrReadWithinTheirBytes) {
  std::mt19937 random(GetParam());
  for (int round = 0; round < 500; ++round) {
    std::string bytes = SafetensorsBytes(kTwoTensors, "01234567abcdefgh");
    for (std::uint32_t i = 0; i < 1 + random() % 4; ++i) {
      bytes[random() % bytes.size()] = static_cast<char>(random() % 256);
    }
    if (random() % 2 == 0) bytes.resize(random() % (bytes.size() + 1));
    const std::vector<char> exact(bytes.begin(), bytes.end());
    try {
      for (const auto& [name, entry] :
           ParseSafetensors(std::as_bytes(std::span(exact)), "w.safetensors")) {
        const auto* const begin = reinterpret_cast<const char*>(entry.data.data());
        ASSERT_GE(begin, exact.data());
        ASSERT_LE(begin + entry.data.size(), exact.data() + exact.size());
      }
    } catch (const InputError&) {
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, SafetensorsFuzz, testing::Range(0U, 20U));

}  // namespace
}  // namespace stint
