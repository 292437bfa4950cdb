#include "models/tokenizer_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "ir/errors.h"
#include "ir/file.h"
#include "ir/quoted.h"
#include "models/byte_names.h"

namespace stint {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kStart = "<|startoftext|>";
constexpr std::string_view kEnd = "<|endoftext|>";
constexpr std::string_view kWordEnd = "</w>";
constexpr std::string_view kVersionLine = "#version: 0.2";

/// All words of `length` letters, in the order of the alphabet.
std::vector<std::string> LetterWords(std::size_t length) {
  std::vector<std::string> words = {""};
  for (std::size_t i = 0; i < length; ++i) {
    std::vector<std::string> longer;
    for (const std::string& word : words) {
      for (char letter = 'a'; letter <= 'z'; ++letter) longer.push_back(word + letter);
    }
    words = std::move(longer);
  }
  return words;
}

/// Tokens and their ids.
class Vocabulary {
 public:
  /// @throws InputError naming `--merges` and one that is wrong.
  Vocabulary(const TokenMerges& merges, std::int64_t count) {
    std::array<std::string, 256> names = ByteNames();
    std::ranges::sort(names);  // By code point: CLIP's order.
    for (const std::string& name : names) Add(name);
    for (const std::string& name : names) Add(name + std::string(kWordEnd));
    for (const std::string& merge : merges) AddMerge(merge);
    Check(next_id_ + 2 <= count, "a vocabulary has room for its merges");
    next_id_ = count - 2;
    Add(std::string(kStart));
    Add(std::string(kEnd));
  }

  /// In the order of ids.
  Json Ids() const {
    Json ids = Json::object();
    // Pushed, not assigned: an ordered object looks through all of its keys at each [].
    for (const auto& [token, id] : tokens_) ids.get_ref<Json::object_t&>().push_back({token, id});
    return ids;
  }

 private:
  void Add(const std::string& token) {
    if (!ids_.try_emplace(token, next_id_).second) {
      throw InputError("--merges", fmt::format("two merges make \"{}\"", Quoted(token)));
    }
    tokens_.emplace_back(token, next_id_++);
  }

  void AddMerge(const std::string& merge) {
    const std::size_t space = merge.find(' ');
    const std::string left = merge.substr(0, space);
    const std::string right = merge.substr(std::min(space, merge.size() - 1) + 1);
    for (const std::string& part : {left, right}) {
      if (space == std::string::npos || !ids_.contains(part)) {
        throw InputError("--merges", fmt::format("\"{}\" is not two tokens that bytes or earlier "
                                                 "merges make",
                                                 Quoted(merge)));
      }
    }
    Add(left + right);
  }

  std::int64_t next_id_ = 0;
  std::unordered_map<std::string, std::int64_t> ids_{};
  std::vector<std::pair<std::string, std::int64_t>> tokens_{};
};

Json SpecialToken(std::string_view content) {
  return {{"content", content},
          {"lstrip", false},
          {"normalized", true},
          {"rstrip", false},
          {"single_word", false}};
}

}  // namespace

TokenMerges MakeRuleMerges(std::int64_t count) {
  struct Kind {
    std::size_t length = 0;
    bool ends_word = false;
  };
  constexpr std::array<Kind, 5> kKinds = {
      {{2, false}, {2, true}, {3, false}, {3, true}, {4, true}}};
  TokenMerges merges;
  for (const Kind& kind : kKinds) {
    for (const std::string& word : LetterWords(kind.length)) {
      if (std::ssize(merges) == count) return merges;
      // The parts are a letter or a pair, and a letter or a pair: tokens already.
      const std::size_t cut = kind.length == 2 ? 1 : 2;
      merges.push_back(fmt::format("{} {}{}", word.substr(0, cut), word.substr(cut),
                                   kind.ends_word ? kWordEnd : ""));
    }
  }
  Check(std::ssize(merges) == count, "the rule makes so many merges");
  return merges;
}

TokenMerges ReadMerges(const std::filesystem::path& path, std::int64_t count) {
  const std::string text = ReadText(path);
  TokenMerges merges;
  std::int64_t line_number = 0;
  for (std::size_t begin = 0; begin < text.size() && std::ssize(merges) < count;) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    ++line_number;
    if (line.ends_with('\r')) line.pop_back();
    // CLIP's own file has its name before the version.
    if (line.empty() || (line_number == 1 && line.find("#version") != std::string::npos)) continue;
    const std::size_t space = line.find(' ');
    if (space == 0 || space >= line.size() - 1 || line.find(' ', space + 1) != std::string::npos) {
      throw InputError(fmt::format("{}:{}", path.string(), line_number),
                       "is not two tokens with a space between them");
    }
    merges.push_back(std::move(line));
  }
  if (merges.empty()) throw InputError(path.string(), "holds no merges");
  return merges;
}

void WriteTokenizerFiles(const std::filesystem::path& folder, const TokenMerges& merges,
                         std::int64_t vocabulary_count, std::int64_t token_count,
                         std::string_view pad_token) {
  const Vocabulary vocabulary(merges, vocabulary_count);
  WriteText(folder / "vocab.json", vocabulary.Ids().dump() + "\n");
  std::string lines = std::string(kVersionLine) + "\n";
  for (const std::string& merge : merges) lines += merge + "\n";
  WriteText(folder / "merges.txt", lines);
  const Json special = {{"bos_token", SpecialToken(kStart)},
                        {"eos_token", SpecialToken(kEnd)},
                        {"pad_token", pad_token},
                        {"unk_token", SpecialToken(kEnd)}};
  WriteText(folder / "special_tokens_map.json", special.dump(2) + "\n");
  const Json config = {{"add_prefix_space", false},
                       {"bos_token", SpecialToken(kStart)},
                       {"do_lower_case", true},
                       {"eos_token", SpecialToken(kEnd)},
                       {"errors", "replace"},
                       {"model_max_length", token_count},
                       {"pad_token", pad_token},
                       {"tokenizer_class", "CLIPTokenizer"},
                       {"unk_token", SpecialToken(kEnd)}};
  WriteText(folder / "tokenizer_config.json", config.dump(2) + "\n");
}

}  // namespace stint
