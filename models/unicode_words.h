// Splits a prompt into the words that CLIP's byte pair encoding works on. Unicode's tables come
// from utf8proc.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace stint {

/// Composed (NFC) and in lower case, character by character; white space becomes one space.
/// @throws InputError naming `--prompt` and the byte if `text` is not UTF-8.
std::string NormalizePrompt(std::string_view text);

/// The words of a normalized prompt: English endings ('s, 't, 're, 've, 'm, 'll, 'd), runs of
/// letters, single numerals, runs of what is none of these. White space separates and goes.
std::vector<std::string_view> SplitWords(std::string_view text);

}  // namespace stint
