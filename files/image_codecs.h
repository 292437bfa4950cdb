// The formats behind files/image.h, one file each.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "files/image.h"

namespace stint {

ImageSize PngSize(std::span<const std::byte> bytes, const std::string& where);
ImageSize JpegSize(std::span<const std::byte> bytes, const std::string& where);
/// `size`: what the header says, within bounds.
Image DecodePng(std::span<const std::byte> bytes, const ImageSize& size, const std::string& where);
Image DecodeJpeg(std::span<const std::byte> bytes, const ImageSize& size, const std::string& where);

}  // namespace stint
