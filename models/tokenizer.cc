#include "models/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <queue>
#include <utility>

#include "ir/errors.h"
#include "ir/file.h"
#include "ir/quoted.h"
#include "models/byte_names.h"
#include "models/unicode_words.h"

namespace stint {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kStart = "<|startoftext|>";
constexpr std::string_view kEnd = "<|endoftext|>";
constexpr std::string_view kWordEnd = "</w>";

Json ParseObject(const std::string& text, const std::string& where) {
  try {
    Json json = Json::parse(text);
    if (json.is_object()) return json;
  } catch (const Json::parse_error& error) {
    throw InputError(where, fmt::format("is not JSON: byte {} is wrong", error.byte));
  }
  throw InputError(where, "is not a JSON object");
}

std::uint64_t PairKey(std::int64_t left, std::int64_t right) {
  return static_cast<std::uint64_t>(left) << 32 | static_cast<std::uint64_t>(right);
}

/// The pad token that a file of the tokenizer folder names, as a text or as {"content": text}.
std::optional<std::string> PadTokenIn(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return std::nullopt;
  const Json json = ParseObject(ReadText(path), path.string());
  const auto found = json.find("pad_token");
  if (found == json.end() || found->is_null()) return std::nullopt;
  const Json& token =
      found->is_object() && found->contains("content") ? found->at("content") : *found;
  if (!token.is_string()) throw InputError(path.string() + ":/pad_token", "is not a text");
  return token.get<std::string>();
}

}  // namespace

ClipTokenizer::ClipTokenizer(const std::string& vocabulary, const std::string& merges,
                             const std::string& where) {
  const std::string vocabulary_where = where + "/vocab.json";
  const Json json = ParseObject(vocabulary, vocabulary_where);
  for (const auto& [token, id] : json.items()) {
    if (!id.is_number_integer() || id < 0 || id > std::numeric_limits<std::int32_t>::max()) {
      throw InputError(fmt::format("{}:/{}", vocabulary_where, token), "is not a token's id");
    }
    ids_[token] = id.get<std::int64_t>();
  }
  start_id_ = IdOf(std::string(kStart), vocabulary_where);
  end_id_ = IdOf(std::string(kEnd), vocabulary_where);
  pad_id_ = end_id_;
  specials_ = {{std::string(kStart), start_id_}, {std::string(kEnd), end_id_}};

  const std::array<std::string, 256> names = ByteNames();
  for (std::size_t byte = 0; byte < names.size(); ++byte) {
    const auto find = [&](const std::string& name) {
      const auto found = ids_.find(name);
      return found == ids_.end() ? end_id_ : found->second;  // Which is the unknown token, too.
    };
    byte_ids_[byte] = find(names[byte]);
    last_byte_ids_[byte] = find(names[byte] + std::string(kWordEnd));
  }

  std::int32_t rank = 0;
  std::int64_t line_number = 0;
  for (std::size_t begin = 0; begin < merges.size();) {
    const std::size_t end = std::min(merges.find('\n', begin), merges.size());
    std::string_view line = std::string_view(merges).substr(begin, end - begin);
    begin = end + 1;
    ++line_number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || (line_number == 1 && line.starts_with("#version"))) continue;
    const std::string line_where = fmt::format("{}/merges.txt:{}", where, line_number);
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos) {
      throw InputError(line_where, "is not two tokens with a space between them");
    }
    const std::string left(line.substr(0, space));
    const std::string right(line.substr(space + 1));
    const std::int64_t left_id = IdOf(left, line_where);
    const std::int64_t right_id = IdOf(right, line_where);
    merges_.try_emplace(PairKey(left_id, right_id),
                        Merge{.rank = rank++, .merged = IdOf(left + right, line_where)});
  }
}

ClipTokenizer ClipTokenizer::FromFolder(const std::filesystem::path& folder) {
  ClipTokenizer tokenizer(ReadText(folder / "vocab.json"), ReadText(folder / "merges.txt"),
                          folder.string());
  for (const char* const name : {"special_tokens_map.json", "tokenizer_config.json"}) {
    const std::filesystem::path path = folder / name;
    const std::optional<std::string> token = PadTokenIn(path);
    if (!token) continue;
    tokenizer.SetPad(*token, path.string() + ":/pad_token");
    break;
  }
  return tokenizer;
}

std::int64_t ClipTokenizer::IdOf(const std::string& token, const std::string& where) const {
  const auto found = ids_.find(token);
  if (found == ids_.end()) {
    throw InputError(
        where, fmt::format("names the token {}, which vocab.json does not have", Quoted(token)));
  }
  return found->second;
}

const ClipTokenizer::Merge* ClipTokenizer::FindMerge(std::int64_t left, std::int64_t right) const {
  const auto found = merges_.find(PairKey(left, right));
  return found == merges_.end() ? nullptr : &found->second;
}

std::vector<std::int64_t> ClipTokenizer::Encode(std::string_view text) const {
  std::vector<std::int64_t> ids;
  while (true) {
    std::size_t found = std::string_view::npos;
    const SpecialToken* first = nullptr;
    for (const SpecialToken& special : specials_) {
      const std::size_t place = text.find(special.text);
      if (place < found) {
        found = place;
        first = &special;
      }
    }
    AppendText(text.substr(0, found), ids);
    if (first == nullptr) return ids;
    ids.push_back(first->id);
    text.remove_prefix(found + first->text.size());
  }
}

void ClipTokenizer::SetPad(const std::string& token, const std::string& where) {
  if (token.empty()) throw InputError(where, "is empty");
  pad_id_ = IdOf(token, where);
  specials_.resize(2);  // Start and end.
  if (pad_id_ != start_id_ && pad_id_ != end_id_) specials_.push_back({token, pad_id_});
}

std::vector<std::int64_t> ClipTokenizer::EncodePadded(std::string_view text,
                                                      std::int64_t token_count,
                                                      std::int64_t pad_id) const {
  Check(token_count >= 2, "start and end take two ids");
  const std::vector<std::int64_t> inner = Encode(text);
  const auto fitting = std::min<std::ptrdiff_t>(std::ssize(inner), token_count - 2);
  std::vector<std::int64_t> ids = {start_id_};
  ids.insert(ids.end(), inner.begin(), inner.begin() + fitting);
  ids.push_back(end_id_);
  ids.resize(static_cast<std::size_t>(token_count), pad_id);
  return ids;
}

void ClipTokenizer::AppendText(std::string_view text, std::vector<std::int64_t>& ids) const {
  const std::string normalized = NormalizePrompt(text);
  for (const std::string_view word : SplitWords(normalized)) AppendWord(word, ids);
}

void ClipTokenizer::AppendWord(std::string_view word, std::vector<std::int64_t>& ids) const {
  struct Symbol {
    std::int64_t id = -1;  // -1: merged into the one before it.
    std::ptrdiff_t previous = -1;
    std::ptrdiff_t next = -1;
  };
  struct Candidate {
    std::int32_t rank = 0;
    std::ptrdiff_t left = 0;
    std::int64_t left_id = 0;  // As they were when it was found: else it is stale.
    std::int64_t right_id = 0;
    bool operator>(const Candidate& other) const {
      return std::pair(rank, left) > std::pair(other.rank, other.left);
    }
  };
  const std::ptrdiff_t count = std::ssize(word);
  std::vector<Symbol> symbols;
  for (std::ptrdiff_t i = 0; i < count; ++i) {
    const auto byte = static_cast<unsigned char>(word[static_cast<std::size_t>(i)]);
    const bool is_last = i + 1 == count;
    symbols.push_back({.id = is_last ? last_byte_ids_[byte] : byte_ids_[byte],
                       .previous = i - 1,
                       .next = is_last ? -1 : i + 1});
  }
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> candidates;
  const auto at = [&](std::ptrdiff_t i) -> Symbol& { return symbols[static_cast<std::size_t>(i)]; };
  const auto propose = [&](std::ptrdiff_t left) {
    if (left < 0 || at(left).next < 0) return;
    const std::int64_t left_id = at(left).id;
    const std::int64_t right_id = at(at(left).next).id;
    if (const Merge* merge = FindMerge(left_id, right_id)) {
      candidates.push(
          {.rank = merge->rank, .left = left, .left_id = left_id, .right_id = right_id});
    }
  };
  for (std::ptrdiff_t i = 0; i < count; ++i) propose(i);
  while (!candidates.empty()) {
    const Candidate best = candidates.top();
    candidates.pop();
    Symbol& left = at(best.left);
    if (left.id != best.left_id || left.next < 0 || at(left.next).id != best.right_id) continue;
    Symbol& right = at(left.next);
    left.id = FindMerge(best.left_id, best.right_id)->merged;
    right.id = -1;
    left.next = right.next;
    if (left.next >= 0) at(left.next).previous = best.left;
    propose(left.previous);
    propose(best.left);
  }
  for (std::ptrdiff_t i = 0; i >= 0; i = at(i).next) ids.push_back(at(i).id);
}

}  // namespace stint
