// CLIP's tokenizer: from a prompt in any script to token ids, by byte-level byte pair encoding.
// Knows the files of a checkpoint's tokenizer folder; no LibTorch, no model.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace stint {

/// Immutable once made and told what pads.
class ClipTokenizer {
 public:
  /// `vocabulary`: vocab.json, from token to id. `merges`: merges.txt, a pair of tokens on each
  /// line, the first to be merged first. `where` names them in errors, usually their folder.
  /// @throws InputError naming the line or token that is wrong.
  ClipTokenizer(const std::string& vocabulary, const std::string& merges, const std::string& where);

  /// Reads vocab.json and merges.txt, and the pad token from special_tokens_map.json or
  /// tokenizer_config.json where they name one.
  /// @throws InputError naming file and place.
  static ClipTokenizer FromFolder(const std::filesystem::path& folder);

  /// Ids of `text`, valid UTF-8, without start and end. Start, end and pad token may be spelled out
  /// in it: where "!" pads, as in OpenCLIP's tokenizers, it is that token in a prompt, too, as in
  /// transformers. O(n log n) for a word of n bytes.
  /// @throws InputError naming `--prompt` and the byte if it is not UTF-8.
  std::vector<std::int64_t> Encode(std::string_view text) const;

  /// Start, as many ids of `text` as fit, end, then `pad_id` up to `token_count` ids.
  std::vector<std::int64_t> EncodePadded(std::string_view text, std::int64_t token_count,
                                         std::int64_t pad_id) const;

  /// Pads with `token` from now on.
  /// @throws InputError naming `where` if there is no such token.
  void SetPad(const std::string& token, const std::string& where);

  std::int64_t start_id() const { return start_id_; }
  std::int64_t end_id() const { return end_id_; }
  /// What the folder says; the end token where it says nothing.
  std::int64_t pad_id() const { return pad_id_; }
  std::int64_t vocabulary_count() const { return static_cast<std::int64_t>(ids_.size()); }

  /// The id of a token as vocab.json writes it.
  /// @throws InputError naming `where` if there is none.
  std::int64_t IdOf(const std::string& token, const std::string& where) const;

 private:
  struct Merge {
    std::int32_t rank = 0;    // Lower ones come first.
    std::int64_t merged = 0;  // Id of what the pair becomes.
  };

  /// A token that stands for itself wherever a prompt spells it out.
  struct SpecialToken {
    std::string text{};
    std::int64_t id = 0;
  };

  void AppendText(std::string_view text, std::vector<std::int64_t>& ids) const;
  void AppendWord(std::string_view word, std::vector<std::int64_t>& ids) const;
  const Merge* FindMerge(std::int64_t left, std::int64_t right) const;

  std::unordered_map<std::string, std::int64_t> ids_;
  std::unordered_map<std::uint64_t, Merge> merges_;  // By left id << 32 | right id.
  std::array<std::int64_t, 256> byte_ids_{};         // Inside a word.
  std::array<std::int64_t, 256> last_byte_ids_{};    // At its end.
  std::vector<SpecialToken> specials_{};
  std::int64_t start_id_ = 0;
  std::int64_t end_id_ = 0;
  std::int64_t pad_id_ = 0;
};

}  // namespace stint
