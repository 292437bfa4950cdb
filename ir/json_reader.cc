#include "ir/json_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "ir/errors.h"
#include "ir/quoted.h"

namespace stint {
namespace {

using Json = nlohmann::json;

const char* Describe(JsonKind kind) {
  switch (kind) {
    case JsonKind::kNull:
      return "null";
    case JsonKind::kBool:
      return "true or false";
    case JsonKind::kNumber:
      return "a number";
    case JsonKind::kString:
      return "a text";
    case JsonKind::kArray:
      return "a list";
    case JsonKind::kObject:
      return "an object";
  }
  throw std::logic_error("unknown kind of JSON value");
}

/// @throws InputError about the byte at `at`, which counts from 0.
[[noreturn]] void FailSyntax(std::string_view text, std::size_t at, const std::string& where,
                             const std::string& reason) {
  const std::string_view before = text.substr(0, at);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  throw InputError(where, fmt::format("is not JSON at line {}, byte {}: {}", line, at, reason));
}

}  // namespace

/// Hears from nlohmann/json what the text consists of. The names and parameters are the library's.
class JsonReader::Tokenizer {
 public:
  Tokenizer(std::string_view text, JsonReader& reader) : text_(text), reader_(reader) {}

  bool null() { return Put(JsonKind::kNull); }
  bool boolean(bool value) { return Put(value); }
  bool number_integer(std::int64_t value) { return Put(value); }
  bool number_unsigned(std::uint64_t value) {
    if (value <= std::numeric_limits<std::int64_t>::max()) {
      return Put(static_cast<std::int64_t>(value));
    }
    return Put(UnfitNumber{fmt::format("{} does not fit into 64 bits", value)});
  }
  bool number_float(double value, const std::string& digits) {
    if (digits.find_first_of(".eE") != std::string::npos) return Put(value);
    return Put(UnfitNumber{fmt::format("{} does not fit into 64 bits", Quoted(digits))});
  }
  bool string(const std::string& value) { return Put(value); }
  bool binary(const Json::binary_t&) { throw std::logic_error("JSON text has no binary values"); }
  bool start_object(std::size_t) { return Put(JsonKind::kObject); }
  bool key(const std::string& value) { return Put(value); }
  bool end_object() { return Put(End{}); }
  bool start_array(std::size_t) { return Put(JsonKind::kArray); }
  bool end_array() { return Put(End{}); }
  /// `end` is the count of bytes up to the one that is wrong.
  bool parse_error(std::size_t end, const std::string& found, const Json::exception& error) {
    if (dynamic_cast<const Json::out_of_range*>(&error) != nullptr) {
      // The last token: reading it fails with its pointer.
      Put(UnfitNumber{fmt::format("{} does not fit into a double", Quoted(found))});
      return false;
    }
    // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error while ..."
    const std::string_view words = error.what();
    FailSyntax(text_, end - 1, reader_.where_, Quoted(words.substr(words.find(": ") + 2)));
  }

 private:
  bool Put(Token token) {
    reader_.tokens_.push_back(std::move(token));
    return true;
  }

  std::string_view text_;
  JsonReader& reader_;
};

JsonReader::JsonReader(std::string_view text, std::string where) : where_(std::move(where)) {
  // The library would take it for the end of the text.
  const std::size_t zero = text.find('\0');
  if (zero != std::string_view::npos) FailSyntax(text, zero, where_, "a zero byte");
  // The library words this differently from version to version.
  if (text.empty()) FailSyntax(text, 0, where_, "the text is empty");
  Tokenizer tokenizer(text, *this);
  Json::sax_parse(text, &tokenizer);
}

std::string JsonReader::Pointer() const {
  std::string pointer;
  for (const Step& step : path_) {
    pointer += '/';
    pointer += step.index >= 0 ? std::to_string(step.index) : Quoted(step.key);
  }
  return pointer;
}

void JsonReader::Fail(const std::string& fact) const {
  const std::string pointer = Pointer();
  throw InputError(pointer.empty() ? where_ : where_ + ":" + pointer, fact);
}

void JsonReader::FailKind(std::string_view expected) const {
  Fail(fmt::format("is {}, expected {}", Describe(Peek()), expected));
}

JsonKind JsonReader::Peek() const {
  const Token& token = tokens_.front();
  if (const auto* kind = std::get_if<JsonKind>(&token)) return *kind;
  if (std::holds_alternative<bool>(token)) return JsonKind::kBool;
  if (std::holds_alternative<std::string>(token)) return JsonKind::kString;
  return JsonKind::kNumber;
}

JsonReader::Token JsonReader::Take() {
  Token token = std::move(tokens_.front());
  tokens_.pop_front();
  return token;
}

void JsonReader::Open(JsonKind kind, std::string_view expected) {
  if (Peek() != kind) FailKind(expected);
  tokens_.pop_front();
}

bool JsonReader::Closes() {
  if (!std::holds_alternative<End>(tokens_.front())) return false;
  tokens_.pop_front();
  return true;
}

void JsonReader::Null() { Open(JsonKind::kNull, "null"); }

bool JsonReader::Bool() {
  if (Peek() != JsonKind::kBool) FailKind("true or false");
  return std::get<bool>(Take());
}

std::variant<std::int64_t, double> JsonReader::Number() {
  if (Peek() != JsonKind::kNumber) FailKind("a number");
  const Token token = Take();
  if (const auto* unfit = std::get_if<UnfitNumber>(&token)) Fail(unfit->fact);
  if (const auto* integer = std::get_if<std::int64_t>(&token)) return *integer;
  return std::get<double>(token);
}

std::int64_t JsonReader::Integer() {
  if (Peek() != JsonKind::kNumber) FailKind("an integer");
  const auto number = Number();
  if (const auto* integer = std::get_if<std::int64_t>(&number)) return *integer;
  Fail("is a number with a fraction or exponent, expected an integer");
}

double JsonReader::Double() {
  if (Peek() != JsonKind::kString) {
    return std::visit([](auto number) { return static_cast<double>(number); }, Number());
  }
  const std::string word = String();
  if (word == "inf") return std::numeric_limits<double>::infinity();
  if (word == "-inf") return -std::numeric_limits<double>::infinity();
  if (word == "nan") return std::numeric_limits<double>::quiet_NaN();
  Fail("is a text, expected a number, \"inf\", \"-inf\" or \"nan\"");
}

std::string JsonReader::String() {
  if (Peek() != JsonKind::kString) FailKind("a text");
  return std::get<std::string>(Take());
}

void JsonReader::Skip() {
  std::int64_t depth = 0;  // A loop: hostile text may be nested deeper than the stack.
  do {
    const Token token = Take();
    // The text may not have been read beyond it.
    if (const auto* unfit = std::get_if<UnfitNumber>(&token)) Fail(unfit->fact);
    const auto* kind = std::get_if<JsonKind>(&token);
    if (kind != nullptr && *kind != JsonKind::kNull) ++depth;
    if (std::holds_alternative<End>(token)) --depth;
  } while (depth > 0);
}

}  // namespace stint
