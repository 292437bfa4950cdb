#include <fmt/format.h>
#include <png.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "files/image_codecs.h"
#include "ir/errors.h"
#include "ir/quoted.h"

namespace stint {
namespace {

constexpr std::size_t kSignatureBytes = 8;
constexpr std::size_t kHeaderChunkEnd = kSignatureBytes + 8 + 13 + 4;  // IHDR comes first.
constexpr std::size_t kMaxKeywordBytes = 79;

std::uint32_t BigEndian(std::span<const std::byte> bytes) {
  std::uint32_t number = 0;
  for (const std::byte byte : bytes.first(4)) {
    number = number << 8 | std::to_integer<std::uint32_t>(byte);
  }
  return number;
}

/// Calls `on_chunk(kind, content)` for each chunk: length, kind, content, checksum.
template <typename OnChunk>
void ForEachChunk(std::span<const std::byte> bytes, const std::string& where, OnChunk&& on_chunk) {
  constexpr std::size_t kFrameBytes = 12;
  for (std::size_t at = kSignatureBytes; at + kFrameBytes <= bytes.size();) {
    const std::uint32_t content_bytes = BigEndian(bytes.subspan(at));
    if (content_bytes > bytes.size() - at - kFrameBytes) {
      throw InputError(where, "is a damaged PNG (a chunk is cut off)");
    }
    const auto* const text = reinterpret_cast<const char*>(bytes.data() + at);
    on_chunk(std::string_view(text + 4, 4), std::string_view(text + 8, content_bytes));
    at += kFrameBytes + content_bytes;
  }
}

/// libpng's simplified interface: no jumps over frames, errors are values.
class PngReader {
 public:
  PngReader(std::span<const std::byte> bytes, const std::string& where) : where_(where) {
    // libpng would take memory for what a chunk says that it holds.
    ForEachChunk(bytes, where, [](std::string_view, std::string_view) {});
    image_.version = PNG_IMAGE_VERSION;
    if (png_image_begin_read_from_memory(&image_, bytes.data(), bytes.size()) == 0) Fail();
    // Numbers of 16 bits are as those of 8 bits, not linear light.
    image_.flags |= PNG_IMAGE_FLAG_16BIT_sRGB;
  }
  ~PngReader() { png_image_free(&image_); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  ImageSize size() const { return {.width_px = image_.width, .height_px = image_.height}; }

  std::vector<std::uint8_t> Rgba() {
    image_.format = PNG_FORMAT_RGBA;
    std::vector<std::uint8_t> rgba(PNG_IMAGE_SIZE(image_));
    if (png_image_finish_read(&image_, nullptr, rgba.data(), 0, nullptr) == 0) Fail();
    // A warning, such as a wrong checksum of what is of no use, is no damage to the picture.
    return rgba;
  }

 private:
  [[noreturn]] void Fail() const {
    throw InputError(where_, fmt::format("is a damaged PNG ({})",
                                         Quoted(static_cast<const char*>(image_.message))));
  }

  png_image image_{};
  const std::string& where_;
};

std::string BigEndian(std::uint32_t number) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(number >> shift & 0xff);
  return bytes;
}

std::string Chunk(const std::string& kind, const std::string& content) {
  const std::string checked = kind + content;
  const auto checksum = crc32_z(0, reinterpret_cast<const Bytef*>(checked.data()), checked.size());
  return BigEndian(static_cast<std::uint32_t>(content.size())) + checked +
         BigEndian(static_cast<std::uint32_t>(checksum));
}

std::string TextChunk(const std::string& keyword, const std::string& text) {
  const bool is_ascii = std::ranges::all_of(text, [](char c) { return c > 0; });
  if (is_ascii) return Chunk("tEXt", keyword + '\0' + text);
  // Not compressed, no language, no translated keyword; UTF-8.
  return Chunk("iTXt", keyword + std::string(5, '\0') + text);
}

/// "keyword\0text" or, international, "keyword\0 flag method language\0 translation\0 text".
void AddText(std::string_view content, bool is_international, PngTexts& texts) {
  const std::size_t end = content.find('\0');
  if (end == std::string_view::npos || end == 0 || end > kMaxKeywordBytes) return;
  const std::string keyword(content.substr(0, end));
  content.remove_prefix(end + 1);
  if (is_international) {
    if (content.size() < 2 || content[0] != 0) return;  // Compressed texts are passed over.
    content.remove_prefix(2);
    for (int i = 0; i < 2; ++i) {
      const std::size_t next = content.find('\0');
      if (next == std::string_view::npos) return;
      content.remove_prefix(next + 1);
    }
  }
  texts[keyword] = content;
}

}  // namespace

ImageSize PngSize(std::span<const std::byte> bytes, const std::string& where) {
  return PngReader(bytes, where).size();
}

Image DecodePng(std::span<const std::byte> bytes, const ImageSize& size, const std::string& where) {
  const std::vector<std::uint8_t> rgba = PngReader(bytes, where).Rgba();
  Image image = {.width_px = size.width_px, .height_px = size.height_px};
  image.rgb.resize(rgba.size() / 4 * 3);
  for (std::size_t i = 0; i < rgba.size() / 4; ++i) {
    std::memcpy(&image.rgb[3 * i], &rgba[4 * i], 3);
  }
  return image;
}

std::string EncodePng(const Image& image, const PngTexts& texts) {
  Check(image.rgb.size() == static_cast<std::size_t>(3 * image.width_px * image.height_px) &&
            !image.rgb.empty(),
        "a picture has as many bytes as its sizes say");
  png_image header = {};
  header.version = PNG_IMAGE_VERSION;
  header.width = static_cast<png_uint_32>(image.width_px);
  header.height = static_cast<png_uint_32>(image.height_px);
  header.format = PNG_FORMAT_RGB;
  png_alloc_size_t size_bytes = PNG_IMAGE_PNG_SIZE_MAX(header);
  std::string png(size_bytes, '\0');
  const int is_done =
      png_image_write_to_memory(&header, png.data(), &size_bytes, 0, image.rgb.data(), 0, nullptr);
  Check(is_done != 0, "a picture in memory can be written to memory");
  png.resize(size_bytes);
  std::string chunks;
  for (const auto& [keyword, text] : texts) {
    Check(!keyword.empty() && keyword.size() <= kMaxKeywordBytes, "keywords are short");
    chunks += TextChunk(keyword, text);
  }
  return png.insert(kHeaderChunkEnd, chunks);
}

PngTexts DecodePngTexts(std::span<const std::byte> bytes, const std::string& where) {
  PngTexts texts;
  PngSize(bytes, where);  // Is it a PNG?
  ForEachChunk(bytes, where, [&](std::string_view kind, std::string_view content) {
    if (kind == "tEXt" || kind == "iTXt") AddText(content, kind == "iTXt", texts);
  });
  return texts;
}

}  // namespace stint
