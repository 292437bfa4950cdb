// Reads JSON into nouns, value by value in the order of the text. nlohmann/json knows what JSON is;
// its tree, however, would forget repeated keys, the order of keys and how a number was written.
// Knows where it is, so that an error names the JSON pointer, and for text that is no JSON at all,
// line and byte. Refuses to know: any noun.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace stint {

enum class JsonKind : std::uint8_t { kNull, kBool, kNumber, kString, kArray, kObject };

class JsonReader {
 public:
  /// `where` begins every error, usually the file.
  /// @throws InputError if `text` is not JSON.
  JsonReader(std::string_view text, std::string where);

  JsonKind Peek() const;  // Kind of the next value.
  void Null();
  bool Bool();
  std::variant<std::int64_t, double> Number();  // As it is written: 3 is an integer, 3.0 is not.
  std::int64_t Integer();                       // In the range of int64.
  double Double();                              // Also the words "inf", "-inf" and "nan".
  std::string String();
  void Skip();  // Any value, with all that is in it.

  /// Calls `on_key(key)` for each member, with the reader at its value, which it must read.
  template <typename OnKey>
  void Object(OnKey&& on_key) {
    Open(JsonKind::kObject, "an object");
    while (!Closes()) {
      const std::string key = String();
      path_.push_back({.key = key});
      on_key(std::string_view(key));
      path_.pop_back();
    }
  }

  /// Calls `on_element()` for each element, with the reader at it, which it must read.
  template <typename OnElement>
  void Array(OnElement&& on_element) {
    Open(JsonKind::kArray, "a list");
    for (path_.push_back({.index = 0}); !Closes(); ++path_.back().index) on_element();
    path_.pop_back();
  }

  /// @throws InputError: `fact` about the value being read, by its pointer.
  [[noreturn]] void Fail(const std::string& fact) const;

 private:
  /// A number that fits into neither int64 nor double.
  struct UnfitNumber {
    std::string fact{};
  };
  struct End {};  // Of a list or an object.
  /// A JsonKind is null, or begins a list or an object. Keys are strings.
  using Token = std::variant<JsonKind, bool, std::int64_t, double, std::string, UnfitNumber, End>;
  class Tokenizer;
  struct Step {
    std::string_view key{};   // Of an object's member; or
    std::int64_t index = -1;  // of a list's element.
  };

  [[noreturn]] void FailKind(std::string_view expected) const;
  std::string Pointer() const;
  Token Take();
  void Open(JsonKind kind, std::string_view expected);
  bool Closes();

  std::string where_;
  std::deque<Token> tokens_{};  // What is still to be read.
  std::vector<Step> path_{};
};

}  // namespace stint
