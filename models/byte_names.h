// How CLIP's vocab.json writes bytes. No LibTorch.
#pragma once

#include <array>
#include <string>

namespace stint {

/// By byte, in UTF-8: printable ones of Latin-1 as themselves, the others as the characters from
/// 256 on, so that no token has spaces or control characters in it.
std::array<std::string, 256> ByteNames();

}  // namespace stint
