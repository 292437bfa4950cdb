// Pictures in files: PNG and JPEG to rows of red, green and blue bytes, and those to PNG. What the
// bytes of a file say is not trusted: sizes are bounded before memory is taken, and damage is one
// line. No colour profiles: numbers are taken as they are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace stint {

/// Rows from the top, pixels from the left: [height, width, 3].
struct Image {
  std::int64_t width_px = 0;
  std::int64_t height_px = 0;
  std::vector<std::uint8_t> rgb{};
};

struct ImageSize {
  std::int64_t width_px = 0;
  std::int64_t height_px = 0;
};

/// Decodes a PNG or JPEG; `where` names it in errors. Transparency is dropped.
/// @throws InputError if it is neither, damaged, or larger than 16384 pixels along one edge or
/// 2^27 pixels.
Image DecodeImage(std::span<const std::byte> bytes, const std::string& where);
/// Its size, by the header alone.
ImageSize DecodeImageSize(std::span<const std::byte> bytes, const std::string& where);

/// The same of a file.
Image ReadImage(const std::filesystem::path& path);
ImageSize ReadImageSize(const std::filesystem::path& path);

/// Texts of a PNG by keyword: image generators keep their settings as "parameters".
using PngTexts = std::map<std::string, std::string>;
/// Equal input, equal bytes.
std::string EncodePng(const Image& image, const PngTexts& texts);
/// Writes whole or not at all.
/// @throws InputError naming `path` if it cannot be written.
void WritePng(const std::filesystem::path& path, const Image& image, const PngTexts& texts);
/// The uncompressed texts (tEXt and iTXt) of a PNG.
/// @throws InputError if it is damaged.
PngTexts DecodePngTexts(std::span<const std::byte> bytes, const std::string& where);

/// How a picture is cut to a size: scaled to the smallest size of its shape that covers that one,
/// then cut around its centre.
struct Cut {
  ImageSize cover{};         // Once it is scaled.
  std::int64_t left_px = 0;  // Cut off there,
  std::int64_t top_px = 0;   // and there.
};
Cut CutFor(const ImageSize& image, const ImageSize& size);
/// The picture, cut so.
Image CropToSize(const Image& image, const ImageSize& size);

}  // namespace stint
