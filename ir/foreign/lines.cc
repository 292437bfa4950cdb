#include "ir/foreign/lines.h"

#include <fmt/format.h>

#include <charconv>

#include "ir/errors.h"
#include "ir/foreign/amounts.h"
#include "ir/quoted.h"

namespace stint::foreign {

std::vector<std::string_view> Words(std::string_view line, std::size_t limit) {
  constexpr std::string_view kSpaces = " \t\r";
  std::vector<std::string_view> words{};
  while (true) {
    const std::size_t begin = line.find_first_not_of(kSpaces);
    if (begin == std::string_view::npos) return words;
    line.remove_prefix(begin);
    const std::size_t end = words.size() + 1 == limit ? line.find_last_not_of(kSpaces) + 1
                                                      : line.find_first_of(kSpaces);
    words.push_back(line.substr(0, end));
    line.remove_prefix(words.back().size());
  }
}

std::int64_t ToInteger(std::string_view word) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  const bool is_whole = error == std::errc() && end == word.data() + word.size();
  return is_whole && value >= 0 && value <= kLargestAmount ? value : -1;
}

std::string_view Lines::Next() {
  if (AtEnd()) throw InputError(where_, fmt::format("ends after line {}", line_number_));
  std::string_view line = text_.substr(next_, text_.find('\n', next_) - next_);
  next_ += line.size() + 1;
  ++line_number_;
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

std::vector<std::string_view> Lines::NextWords(std::size_t count) {
  std::vector<std::string_view> words = Words(Next());
  if (words.size() != count) Fail(fmt::format("has {} words, expected {}", words.size(), count));
  return words;
}

std::vector<std::int64_t> Lines::NextIntegers(std::size_t count) {
  std::vector<std::int64_t> integers{};
  for (const std::string_view word : NextWords(count)) {
    integers.push_back(ToInteger(word));
    if (integers.back() < 0) {
      Fail(fmt::format("'{}' is no whole number from 0 to 2^50", Quoted(word)));
    }
  }
  return integers;
}

std::vector<std::int64_t> Lines::NextAmounts(std::size_t count) {
  std::vector<std::int64_t> amounts{};
  for (const std::string_view word : NextWords(count)) {
    const auto fail = [&](const char* fact) { Fail(fmt::format("'{}' {}", Quoted(word), fact)); };
    double value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error == std::errc::result_out_of_range) fail("is out of range");
    if (error != std::errc() || end != word.data() + word.size()) fail("is no number");
    amounts.push_back(ToAmount(value, fail));
  }
  return amounts;
}

std::string Lines::Place() const { return fmt::format("{}:{}", where_, line_number_); }

void Lines::Fail(const std::string& fact) const { throw InputError(Place(), fact); }

}  // namespace stint::foreign
