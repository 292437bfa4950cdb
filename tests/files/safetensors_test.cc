#include "files/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "ir/errors.h"
#include "tests/support/safetensors_text.h"

namespace stint {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::map<std::string, TensorView> Parse(const std::string& bytes) {
  return ParseSafetensors(std::as_bytes(std::span(bytes)), "w.safetensors").tensors;
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
  EXPECT_EQ(entries.at("a").dtype, Dtype::kF32);
  EXPECT_THAT(entries.at("a").sizes, ElementsAre(2));
  EXPECT_EQ(std::memcmp(entries.at("a").data.data(), "01234567", 8), 0);
  EXPECT_THAT(entries.at("b").sizes, ElementsAre());
  EXPECT_EQ(std::memcmp(entries.at("b").data.data(), "abcdefgh", 8), 0);
}

TEST(SafetensorsTest, ReadsAFileAndNamesOneThatIsMissing) {
  const std::string path = WriteBytes(testing::TempDir() + "/two.safetensors",
                                      SafetensorsBytes(kTwoTensors, "01234567abcdefgh"));
  const SafetensorsFile file(path);
  EXPECT_EQ(file.tensors().size(), 2U);
  EXPECT_EQ(file.metadata().at("format"), "pt");
  try {
    SafetensorsFile("/nowhere/w.safetensors");
    FAIL() << "read a file that is not there";
  } catch (const InputError& error) {
    EXPECT_STREQ(error.what(),
                 "/nowhere/w.safetensors: cannot be read (No such file or directory)");
  }
}

TEST(SafetensorsTest, RefusesHeadersThatAreNoHeaders) {
  EXPECT_THROW(Parse("1234567"), InputError);
  EXPECT_THROW(Parse(std::string(8, '\xff') + "{}"), InputError);
  EXPECT_EQ(Refusal("{\"a\"", ""),
            "w.safetensors: has a header that is not JSON: byte 13 is wrong");
  EXPECT_EQ(Refusal("[]", ""), "w.safetensors: has a header that is not a JSON object");
}

TEST(SafetensorsTest, RefusesDeepNestingAndMetadataThatAreNoTexts) {
  EXPECT_EQ(Refusal("{\"a\":" + std::string(100'000, '['), ""),
            "w.safetensors: has a header that is nested too deeply");
  EXPECT_EQ(Refusal(R"({"__metadata__":{"rank":4}})", ""),
            "w.safetensors:__metadata__: is not an object of texts");
  EXPECT_EQ(Refusal(R"({"a":1e999})", ""),
            "w.safetensors: has a header with a number that is too large");
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

}  // namespace
}  // namespace stint
