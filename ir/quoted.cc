#include "ir/quoted.h"

#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>

namespace stint {

std::string Quoted(std::string_view text) {
  constexpr std::size_t kLongestBytes = 100;
  std::string printable(text.substr(0, kLongestBytes));
  std::replace_if(
      printable.begin(), printable.end(), [](char c) { return (c >= 0 && c < 0x20) || c == 0x7F; },
      '?');
  using Json = nlohmann::json;
  const std::string json = Json(printable).dump(-1, ' ', false, Json::error_handler_t::replace);
  std::string quoted = json.substr(1, json.size() - 2);
  // The library's replacement is U+FFFD, which not every terminal shows.
  constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
  for (std::size_t at = quoted.find(kReplacement); at != std::string::npos;
       at = quoted.find(kReplacement, at)) {
    quoted.replace(at, kReplacement.size(), 1, '?');
  }
  if (text.size() > kLongestBytes) quoted += "...";
  return quoted;
}

}  // namespace stint
