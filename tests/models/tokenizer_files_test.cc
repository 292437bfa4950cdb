#include "models/tokenizer_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <string>

#include "ir/errors.h"
#include "models/tokenizer.h"

namespace stint {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

namespace fs = std::filesystem;

class TokenizerFilesTest : public testing::Test {
 protected:
  TokenizerFilesTest() { fs::create_directories(folder_); }
  ~TokenizerFilesTest() override { fs::remove_all(folder_); }

  ClipTokenizer Write(const TokenMerges& merges, std::int64_t vocabulary_count,
                      std::string_view pad_token = kClipPadToken) const {
    WriteTokenizerFiles(folder_, merges, vocabulary_count, 77, pad_token);
    return ClipTokenizer::FromFolder(folder_);
  }

  fs::path folder_ = fs::path(testing::TempDir()) / "tokenizer_files_test";
};

TEST_F(TokenizerFilesTest, NumbersTokensAsClipDoes) {
  const ClipTokenizer tokenizer = Write({"c a", "ca t</w>"}, 520);
  // "!" is the first printable byte; the 188 others before "a</w>" and so on.
  EXPECT_THAT(tokenizer.Encode("!"), ElementsAre(256));
  EXPECT_THAT(tokenizer.Encode("cat"), ElementsAre(513));
  EXPECT_THAT(tokenizer.Encode("cab"), ElementsAre(512, 256 + 'b' - '!'));
  EXPECT_EQ(tokenizer.start_id(), 518);
  EXPECT_EQ(tokenizer.end_id(), 519);
  EXPECT_EQ(tokenizer.vocabulary_count(), 516);
}

TEST_F(TokenizerFilesTest, RuleFillsTheVocabularyOfEveryModel) {
  const TokenMerges merges = MakeRuleMerges(MergeCount(49'408));
  EXPECT_THAT(merges, SizeIs(48'894));
  EXPECT_EQ(std::set<std::string>(merges.begin(), merges.end()).size(), merges.size());
  const ClipTokenizer tokenizer = Write(merges, 49'408);
  EXPECT_EQ(tokenizer.vocabulary_count(), 49'408);
  EXPECT_EQ(tokenizer.end_id(), 49'407);
  EXPECT_THAT(tokenizer.Encode("cat"), SizeIs(1));
  EXPECT_THAT(tokenizer.Encode("a boat"), SizeIs(3));  // a, bo, at
}

TEST_F(TokenizerFilesTest, PadTokenIsOneInPromptsToo) {
  EXPECT_THAT(Write({}, 514).Encode("!!"), ElementsAre(0, 256));
  const ClipTokenizer tokenizer = Write({}, 514, kOpenClipPadToken);
  EXPECT_EQ(tokenizer.pad_id(), 0);
  EXPECT_THAT(tokenizer.Encode("!!"), ElementsAre(0, 0));
}

TEST_F(TokenizerFilesTest, ReadsMergesOfBothForms) {
  const fs::path path = folder_ / "list.txt";
  for (const std::string head : {"#version: 0.2\n", "\"bpe_simple_vocab_16e6.txt#version: 0.2\n"}) {
    std::ofstream(path) << head << "c a\nca t</w>\nd o\n";
    EXPECT_THAT(ReadMerges(path, 2), ElementsAre("c a", "ca t</w>"));
  }
}

TEST_F(TokenizerFilesTest, RefusesWrongMergesNamingThem) {
  const auto refusal = [](const auto& act) -> std::string {
    try {
      act();
    } catch (const InputError& error) {
      return error.what();
    }
    return "accepted";
  };
  const fs::path path = folder_ / "list.txt";
  std::ofstream(path) << "c a\nb\n";
  EXPECT_THAT(refusal([&] { ReadMerges(path, 9); }), HasSubstr("list.txt:2: is not two tokens"));
  std::ofstream(path) << "\n";
  EXPECT_THAT(refusal([&] { ReadMerges(path, 9); }), HasSubstr("list.txt: holds no merges"));
  EXPECT_THAT(refusal([&] { Write({"ca t"}, 600); }), HasSubstr("--merges: \"ca t\""));
  EXPECT_THAT(refusal([&] { Write({"c a", "c a"}, 600); }), HasSubstr("two merges make \"ca\""));
}

}  // namespace
}  // namespace stint
