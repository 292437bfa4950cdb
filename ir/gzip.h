// Gzip in memory. Equal text gives equal bytes: the header carries no name and no time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace stint {

std::string Gzip(std::string_view text);

/// @throws InputError (naming `where`) if the stream is damaged, cut off, followed by something
/// else, or longer than `limit_bytes` once expanded.
std::string Gunzip(std::string_view bytes, std::int64_t limit_bytes, const std::string& where);

}  // namespace stint
