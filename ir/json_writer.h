// Writes JSON that people can read and compare: the top-level keys and the elements of the big
// lists one a line, everything else inline. Equal calls give equal bytes. Refuses to know: any
// noun.
#pragma once

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace stint {

class JsonWriter {
 public:
  void Raw(std::string_view text) { text_ += text; }
  void NewLine(int depth) {
    text_.append(1, '\n').append(2 * static_cast<std::size_t>(depth), ' ');
  }
  void Null() { Raw("null"); }
  void Bool(bool value) { Raw(value ? "true" : "false"); }
  void Integer(std::int64_t value) {
    char digits[24];
    Raw({digits, std::to_chars(digits, digits + sizeof(digits), value).ptr});
  }
  /// Shortest text that reads back as the same double, never one that reads as an integer;
  /// "inf", "-inf" and "nan" as texts.
  void Double(double value);
  /// @throws InputError if `value` is not UTF-8.
  void String(std::string_view value);
  std::string Take() { return std::move(text_); }

 private:
  void WithoutControls(std::string_view value);

  std::string text_;
};

}  // namespace stint
