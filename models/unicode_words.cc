#include "models/unicode_words.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "ir/errors.h"

namespace stint {
namespace {

enum class Kind : std::uint8_t { kSpace, kLetter, kNumeral, kOther };

constexpr utf8proc_int32_t kCapitalIWithDot = 0x130;
constexpr utf8proc_int32_t kCombiningDot = 0x307;

/// Characters that regular expressions call white space: Unicode's White_Space.
bool IsSpace(utf8proc_int32_t code_point, utf8proc_category_t category) {
  constexpr utf8proc_int32_t kNextLine = 0x85;
  return (code_point >= '\t' && code_point <= '\r') || code_point == kNextLine ||
         category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
         category == UTF8PROC_CATEGORY_ZP;
}

Kind KindOf(utf8proc_int32_t code_point) {
  const utf8proc_category_t category = utf8proc_category(code_point);
  if (IsSpace(code_point, category)) return Kind::kSpace;
  switch (category) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return Kind::kLetter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return Kind::kNumeral;
    default:
      return Kind::kOther;
  }
}

struct Character {
  utf8proc_int32_t code_point = 0;
  std::size_t byte_count = 0;
};

/// The character at `begin` < text.size().
Character CharacterAt(std::string_view text, std::size_t begin) {
  Character character;
  const auto* const bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + begin;
  const utf8proc_ssize_t byte_count = utf8proc_iterate(
      bytes, static_cast<utf8proc_ssize_t>(text.size() - begin), &character.code_point);
  if (byte_count <= 0) {
    throw InputError("--prompt", fmt::format("is not UTF-8: byte {} is wrong", begin));
  }
  character.byte_count = static_cast<std::size_t>(byte_count);
  return character;
}

void Append(utf8proc_int32_t code_point, std::string& text) {
  std::array<utf8proc_uint8_t, 4> bytes{};
  const utf8proc_ssize_t count = utf8proc_encode_char(code_point, bytes.data());
  text.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(count));
}

std::string Composed(std::string_view text) {
  if (text.empty()) return {};
  utf8proc_uint8_t* bytes = nullptr;
  const utf8proc_ssize_t byte_count =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &bytes,
                   static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(bytes, &std::free);
  if (byte_count < 0) throw InputError("--prompt", utf8proc_errmsg(byte_count));
  return {reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(byte_count)};
}

/// Bytes of the ending that `text` has at `begin`; 0 if there is none.
std::size_t EndingAt(std::string_view text, std::size_t begin) {
  constexpr std::array<std::string_view, 7> kEndings = {"'s", "'t",  "'re", "'ve",
                                                        "'m", "'ll", "'d"};
  const std::string_view rest = text.substr(begin);
  const auto* const ending = std::ranges::find_if(
      kEndings, [&](std::string_view candidate) { return rest.starts_with(candidate); });
  return ending == kEndings.end() ? 0 : ending->size();
}

}  // namespace

std::string NormalizePrompt(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) i += CharacterAt(text, i).byte_count;
  const std::string composed = Composed(text);
  std::string normalized;
  bool was_space = false;
  for (std::size_t i = 0; i < composed.size();) {
    const Character character = CharacterAt(composed, i);
    i += character.byte_count;
    const bool is_space = KindOf(character.code_point) == Kind::kSpace;
    if (is_space) {
      if (!was_space) normalized += ' ';
    } else if (character.code_point == kCapitalIWithDot) {
      // The one character whose lower case is two.
      normalized += 'i';
      Append(kCombiningDot, normalized);
    } else {
      Append(utf8proc_tolower(character.code_point), normalized);
    }
    was_space = is_space;
  }
  return normalized;
}

std::vector<std::string_view> SplitWords(std::string_view text) {
  std::vector<std::string_view> words;
  for (std::size_t begin = 0; begin < text.size();) {
    const Character first = CharacterAt(text, begin);
    const Kind kind = KindOf(first.code_point);
    std::size_t end = begin + first.byte_count;
    if (const std::size_t ending = EndingAt(text, begin); ending > 0) {
      end = begin + ending;
    } else if (kind == Kind::kLetter || kind == Kind::kOther) {
      while (end < text.size()) {
        const Character next = CharacterAt(text, end);
        if (KindOf(next.code_point) != kind) break;
        end += next.byte_count;
      }
    }
    if (kind != Kind::kSpace) words.push_back(text.substr(begin, end - begin));
    begin = end;
  }
  return words;
}

}  // namespace stint
