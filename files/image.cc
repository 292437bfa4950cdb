#include "files/image.h"

#include <fmt/format.h>

#include <algorithm>

#include "files/image_codecs.h"
#include "files/mapped_file.h"
#include "ir/errors.h"
#include "ir/output_file.h"

namespace stint {
namespace {

constexpr std::int64_t kMaxEdgePx = 16384;
constexpr std::int64_t kMaxPixelCount = std::int64_t{1} << 27;

bool HasStart(std::span<const std::byte> bytes, std::string_view start) {
  return bytes.size() >= start.size() &&
         std::ranges::equal(bytes.first(start.size()), std::as_bytes(std::span(start)));
}

bool IsPng(std::span<const std::byte> bytes) { return HasStart(bytes, "\x89PNG\r\n\x1a\n"); }
bool IsJpeg(std::span<const std::byte> bytes) { return HasStart(bytes, "\xff\xd8\xff"); }

}  // namespace

ImageSize DecodeImageSize(std::span<const std::byte> bytes, const std::string& where) {
  if (!IsPng(bytes) && !IsJpeg(bytes)) throw InputError(where, "is neither a PNG nor a JPEG");
  const ImageSize size = IsPng(bytes) ? PngSize(bytes, where) : JpegSize(bytes, where);
  if (size.width_px < 1 || size.height_px < 1 || size.width_px > kMaxEdgePx ||
      size.height_px > kMaxEdgePx || size.width_px * size.height_px > kMaxPixelCount) {
    throw InputError(where, fmt::format("has {} x {} pixels, more than Stint reads", size.width_px,
                                        size.height_px));
  }
  return size;
}

Image DecodeImage(std::span<const std::byte> bytes, const std::string& where) {
  const ImageSize size = DecodeImageSize(bytes, where);
  return IsPng(bytes) ? DecodePng(bytes, size, where) : DecodeJpeg(bytes, size, where);
}

Image ReadImage(const std::filesystem::path& path) {
  return DecodeImage(MappedFile(path).bytes(), path.string());
}

ImageSize ReadImageSize(const std::filesystem::path& path) {
  return DecodeImageSize(MappedFile(path).bytes(), path.string());
}

void WritePng(const std::filesystem::path& path, const Image& image, const PngTexts& texts) {
  OutputFile file(path);
  file.Append(EncodePng(image, texts));
  file.Commit();
}

}  // namespace stint
