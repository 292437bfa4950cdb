// Makes any text fit for an error message of one line.
#pragma once

#include <string>
#include <string_view>

namespace stint {

/// `text` as errors repeat it: escaped as in JSON, cut off where it is long, and with a "?" for
/// control characters and what is not UTF-8.
std::string Quoted(std::string_view text);

}  // namespace stint
