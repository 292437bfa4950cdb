// Writes small .safetensors files for tests, well-formed or not.
#pragma once

#include <cstdint>
#include <fstream>
#include <string>

namespace stint {

/// The bytes of a file with this header and these data.
inline std::string SafetensorsBytes(const std::string& header, const std::string& data) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>((header.size() >> (8 * i)) & 0xff);
  return bytes + header + data;
}

inline std::string WriteBytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

}  // namespace stint
