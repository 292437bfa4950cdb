// A text file line by line, and the numbers in a line; knows where it is for errors
// ("unet.txt:12: ends in the middle of a block").
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stint::foreign {

class Lines {
 public:
  /// Keeps a view of `text`.
  Lines(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  bool AtEnd() const { return next_ >= text_.size(); }

  /// The next line, without its end. The view lives as long as the text.
  /// @throws InputError at the end of the file.
  std::string_view Next();

  /// The next line as integers from 0 on.
  /// @throws InputError if there are not `count` of them.
  std::vector<std::int64_t> NextIntegers(std::size_t count);

  /// The next line as amounts (ir/foreign/amounts.h).
  std::vector<std::int64_t> NextAmounts(std::size_t count);

  /// @throws InputError about the line that was read last.
  [[noreturn]] void Fail(const std::string& fact) const;

  /// "unet.txt:12", the line that was read last.
  std::string Place() const;

 private:
  std::vector<std::string_view> NextWords(std::size_t count);

  std::string_view text_;
  const std::string& where_;
  std::size_t next_ = 0;
  std::int64_t line_number_ = 0;
};

/// The words of `line`, which spaces separate; at most `limit`, the last with all that follows.
std::vector<std::string_view> Words(std::string_view line, std::size_t limit = SIZE_MAX);

/// A whole number from 0 to 2^50, or -1 if `word` is none.
std::int64_t ToInteger(std::string_view word);

}  // namespace stint::foreign
