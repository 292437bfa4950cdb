// The files of a CLIP tokenizer's folder, made from a list of merges as CLIP makes them: what
// checkpoints come with. No LibTorch.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace stint {

/// Pairs of tokens with a space between them, the first to be merged first.
using TokenMerges = std::vector<std::string>;

/// Merges of a rule instead of a language, so that prompts become some ids without CLIP's files:
/// all pairs of the letters a to z, all that end a word, then three letters likewise, then four
/// that end a word, each in the order of the alphabet, until there are `count`.
/// `count` <= 500,000.
TokenMerges MakeRuleMerges(std::int64_t count);

/// The first `count` merges of a file in the form of merges.txt or of CLIP's own
/// bpe_simple_vocab_16e6.txt.gz.
/// @throws InputError naming file and line.
TokenMerges ReadMerges(const std::filesystem::path& path, std::int64_t count);

/// How many merges a vocabulary of so many tokens has: 512 are bytes, two are special.
constexpr std::int64_t MergeCount(std::int64_t vocabulary_count) { return vocabulary_count - 514; }

/// Writes vocab.json, merges.txt, tokenizer_config.json and special_tokens_map.json into `folder`.
/// Ids: bytes inside a word, bytes at its end, merges in their order; start and end have the two
/// highest of `vocabulary_count`, since text is pooled at the highest id.
/// @throws InputError naming the file that cannot be written, or `--merges` and one whose parts no
/// earlier one makes.
void WriteTokenizerFiles(const std::filesystem::path& folder, const TokenMerges& merges,
                         std::int64_t vocabulary_count, std::int64_t token_count,
                         std::string_view pad_token);

/// What pads a prompt: CLIP's own encoder was trained with the end token, OpenCLIP's with id 0.
inline constexpr std::string_view kClipPadToken = "<|endoftext|>";
inline constexpr std::string_view kOpenClipPadToken = "!";

}  // namespace stint
