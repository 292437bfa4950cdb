#include "models/byte_names.h"

namespace stint {

std::array<std::string, 256> ByteNames() {
  std::array<std::string, 256> names;
  const auto utf8 = [](unsigned code_point) {
    if (code_point < 0x80) return std::string(1, static_cast<char>(code_point));
    return std::string{static_cast<char>(0xc0 | (code_point >> 6)),
                       static_cast<char>(0x80 | (code_point & 0x3f))};
  };
  unsigned next_code_point = 256;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool is_printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) ||
                              (byte >= 0xae && byte <= 0xff);
    names[byte] = utf8(is_printable ? byte : next_code_point++);
  }
  return names;
}

}  // namespace stint
