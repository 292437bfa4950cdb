#include "models/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "ir/errors.h"
#include "models/unicode_words.h"

namespace stint {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

/// "lower</w>" is merged of l o w e r</w> in the order lo, low, er</w>, lower</w>.
constexpr char kMerges[] = "#version: 0.2\nl o\nlo w\ne r</w>\nlow er</w>\n";

std::string Vocabulary() {
  const nlohmann::json ids = {{"l", 0},
                              {"o", 1},
                              {"w", 2},
                              {"e", 3},
                              {"r", 4},
                              {"r</w>", 5},
                              {"w</w>", 6},
                              {"lo", 7},
                              {"low", 8},
                              {"er</w>", 9},
                              {"lower</w>", 10},
                              {"!</w>", 11},
                              {"<|startoftext|>", 12},
                              {"<|endoftext|>", 13}};
  return ids.dump();
}

ClipTokenizer Tokenizer() { return {Vocabulary(), kMerges, "tokenizer"}; }

template <typename Act>
std::string Refusal(const Act& act) {
  try {
    act();
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(TokenizerTest, MergesPairsInTheOrderOfTheFile) {
  EXPECT_THAT(Tokenizer().Encode("lower"), ElementsAre(10));
  EXPECT_THAT(Tokenizer().Encode("LOWER lower!"), ElementsAre(10, 10, 11));
  // "low" at the end of a word is another token: lo, w</w> have no merge.
  EXPECT_THAT(Tokenizer().Encode("low"), ElementsAre(7, 6));
  EXPECT_THAT(Tokenizer().Encode("lolower"), ElementsAre(7, 10));
}

TEST(TokenizerTest, GivesTheUnknownTokenForBytesWithoutOne) {
  EXPECT_THAT(Tokenizer().Encode("z"), ElementsAre(13));
}

TEST(TokenizerTest, TakesSpecialTokensThatAPromptSpellsOut) {
  EXPECT_THAT(Tokenizer().Encode("lower<|endoftext|>lower"), ElementsAre(10, 13, 10));
  EXPECT_THAT(Tokenizer().Encode("<|startoftext|><|endoftext|>"), ElementsAre(12, 13));
}

TEST(TokenizerTest, PadsAndCutsToTheLengthOfTheModel) {
  EXPECT_THAT(Tokenizer().EncodePadded("lower", 5, 0), ElementsAre(12, 10, 13, 0, 0));
  EXPECT_THAT(Tokenizer().EncodePadded("", 4, 13), ElementsAre(12, 13, 13, 13));
  EXPECT_THAT(Tokenizer().EncodePadded("lower lower lower lower", 4, 0),
              ElementsAre(12, 10, 10, 13));
}

TEST(TokenizerTest, ReadsFolderAndPadToken) {
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "tokenizer";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "vocab.json") << Vocabulary();
  std::ofstream(folder / "merges.txt") << kMerges;
  EXPECT_EQ(ClipTokenizer::FromFolder(folder).pad_id(), 13);
  std::ofstream(folder / "tokenizer_config.json")
      << R"({"pad_token": {"content": "<|endoftext|>"}})";
  std::ofstream(folder / "special_tokens_map.json") << R"({"pad_token": "l"})";
  EXPECT_EQ(ClipTokenizer::FromFolder(folder).pad_id(), 0);
  std::ofstream(folder / "special_tokens_map.json") << R"({"pad_token": "z"})";
  EXPECT_THAT(Refusal([&] { ClipTokenizer::FromFolder(folder); }),
              testing::HasSubstr("special_tokens_map.json:/pad_token: names the token z"));
  std::filesystem::remove_all(folder);
}

TEST(TokenizerTest, RefusesWrongFilesNamingThePlace) {
  EXPECT_EQ(Refusal([] { ClipTokenizer("[]", kMerges, "t"); }),
            "t/vocab.json: is not a JSON object");
  EXPECT_EQ(Refusal([] { ClipTokenizer("{\"a\": -1}", kMerges, "t"); }),
            "t/vocab.json:/a: is not a token's id");
  EXPECT_EQ(Refusal([] { ClipTokenizer(Vocabulary(), "l o\nl", "t"); }),
            "t/merges.txt:2: is not two tokens with a space between them");
  EXPECT_THAT(Refusal([] { ClipTokenizer(Vocabulary(), "l q\n", "t"); }),
              testing::HasSubstr("t/merges.txt:1: names the token q"));
}

TEST(TokenizerTest, RefusesPromptsThatAreNotUtf8) {
  EXPECT_EQ(Refusal([] { Tokenizer().Encode("low\xff"); }),
            "--prompt: is not UTF-8: byte 3 is wrong");
  EXPECT_EQ(Refusal([] { Tokenizer().Encode("\xe6\x97"); }),
            "--prompt: is not UTF-8: byte 0 is wrong");
}

TEST(TokenizerTest, TakesLongWordsInReasonableTime) {
  const std::string word(1'000'000, 'l');  // One word.
  EXPECT_EQ(Tokenizer().Encode(word).size(), 1'000'000U);
}

TEST(SplitWordsTest, SeparatesLettersNumeralsAndTheRest) {
  EXPECT_THAT(SplitWords("it's a 42nd, ok?!"),
              ElementsAre("it", "'s", "a", "4", "2", "nd", ",", "ok", "?!"));
  EXPECT_THAT(SplitWords("\u65e5\u672c\u0663\u3001"),
              ElementsAre("\u65e5\u672c", "\u0663", "\u3001"));
  EXPECT_THAT(SplitWords(" \u3000 "), IsEmpty());
}

TEST(NormalizePromptTest, ComposesLowersAndJoinsSpaces) {
  EXPECT_EQ(NormalizePrompt("A\t\n B"), "a b");
  EXPECT_EQ(NormalizePrompt("E\u0301"), "\u00e9");             // E and an accent: one character.
  EXPECT_EQ(NormalizePrompt("\u0130"), "i\u0307");             // I with a dot: two.
  EXPECT_EQ(NormalizePrompt("\u03a3\u03a3"), "\u03c3\u03c3");  // No final sigma: by character.
}

}  // namespace
}  // namespace stint
