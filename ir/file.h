// Files of artifacts: plain or gzip by their name, written whole or not at all.
#pragma once

#include <filesystem>
#include <string>

namespace stint {

/// The whole text of a file; gunzipped when the name ends in ".gz"; "-" is standard input.
/// @throws InputError if it cannot be read, or the gzip stream is damaged or larger than 4 GiB.
std::string ReadText(const std::filesystem::path& path);

/// Writes to a temporary name beside `path`, syncs and renames, so that a reader sees the old file
/// or the new one and never a part; gzipped (without a time stamp: equal text, equal bytes) when
/// the name ends in ".gz"; "-" is standard output.
/// @throws InputError if it cannot be written; nothing is left behind.
void WriteText(const std::filesystem::path& path, const std::string& text);

/// SHA-256 of `text` as 64 lower-case hexadecimal digits.
std::string Sha256(const std::string& text);

}  // namespace stint
