#include "ir/json_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "ir/errors.h"

namespace stint {
namespace {

bool IsControl(char c) { return (c >= 0 && c < 0x20) || c == 0x7F; }

}  // namespace

void JsonWriter::Double(double value) {
  if (std::isnan(value)) return Raw("\"nan\"");
  if (std::isinf(value)) return Raw(value > 0 ? "\"inf\"" : "\"-inf\"");
  char digits[32];
  const std::string_view token(digits, std::to_chars(digits, digits + sizeof(digits), value).ptr);
  Raw(token);
  if (token.find_first_of(".e") == std::string_view::npos) Raw(".0");
}

void JsonWriter::String(std::string_view value) {
  text_ += '"';
  // Every control character has the same form here; the library would write some as "\n".
  for (const char* at = value.begin(); at != value.end();) {
    const char* control = std::find_if(at, value.end(), IsControl);
    WithoutControls({at, control});
    at = control;
    if (at != value.end()) text_ += fmt::format("\\u{:04x}", static_cast<unsigned char>(*at++));
  }
  text_ += '"';
}

void JsonWriter::WithoutControls(std::string_view value) {
  try {
    const std::string quoted = nlohmann::json(value).dump();
    text_.append(quoted, 1, quoted.size() - 2);
  } catch (const nlohmann::json::type_error&) {
    throw InputError("JSON", "a name that is to be written is not UTF-8");
  }
}

}  // namespace stint
