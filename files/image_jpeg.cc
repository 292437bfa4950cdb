#include <fmt/format.h>
#include <turbojpeg.h>

#include <memory>

#include "files/image_codecs.h"
#include "ir/errors.h"
#include "ir/quoted.h"

namespace stint {
namespace {

struct Destroy {
  void operator()(void* decoder) const { tjDestroy(decoder); }
};
using Decoder = std::unique_ptr<void, Destroy>;

Decoder MakeDecoder() {
  Decoder decoder(tjInitDecompress());
  Check(decoder != nullptr, "a JPEG decoder can be made");
  return decoder;
}

[[noreturn]] void Fail(const Decoder& decoder, const std::string& where) {
  throw InputError(where,
                   fmt::format("is a damaged JPEG ({})", Quoted(tjGetErrorStr2(decoder.get()))));
}

struct Header {
  ImageSize size{};
  int color_space = 0;
};

Header ReadHeader(const Decoder& decoder, std::span<const std::byte> bytes,
                  const std::string& where) {
  int width_px = 0, height_px = 0, subsampling = 0;
  Header header;
  if (tjDecompressHeader3(decoder.get(), reinterpret_cast<const unsigned char*>(bytes.data()),
                          bytes.size(), &width_px, &height_px, &subsampling,
                          &header.color_space) != 0) {
    Fail(decoder, where);
  }
  header.size = {.width_px = width_px, .height_px = height_px};
  return header;
}

}  // namespace

ImageSize JpegSize(std::span<const std::byte> bytes, const std::string& where) {
  return ReadHeader(MakeDecoder(), bytes, where).size;
}

Image DecodeJpeg(std::span<const std::byte> bytes, const ImageSize& size,
                 const std::string& where) {
  const Decoder decoder = MakeDecoder();
  const Header header = ReadHeader(decoder, bytes, where);
  if (header.color_space == TJCS_CMYK || header.color_space == TJCS_YCCK) {
    throw InputError(where, "is a JPEG for printing (CMYK), which Stint does not read");
  }
  Image image = {.width_px = size.width_px, .height_px = size.height_px};
  image.rgb.resize(static_cast<std::size_t>(3 * size.width_px * size.height_px));
  // A warning is a picture of which a part is made up: better named than trained on.
  if (tjDecompress2(decoder.get(), reinterpret_cast<const unsigned char*>(bytes.data()),
                    bytes.size(), image.rgb.data(), static_cast<int>(size.width_px), 0,
                    static_cast<int>(size.height_px), TJPF_RGB,
                    TJFLAG_ACCURATEDCT | TJFLAG_STOPONWARNING | TJFLAG_LIMITSCANS) != 0) {
    Fail(decoder, where);
  }
  return image;
}

}  // namespace stint
