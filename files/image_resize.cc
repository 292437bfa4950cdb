#define STB_IMAGE_RESIZE_IMPLEMENTATION
#define STB_IMAGE_RESIZE_STATIC
#include <stb/stb_image_resize.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "files/image.h"
#include "ir/errors.h"

namespace stint {
namespace {

Image Resize(const Image& image, const ImageSize& size) {
  Image resized = {.width_px = size.width_px, .height_px = size.height_px};
  resized.rgb.resize(static_cast<std::size_t>(3 * size.width_px * size.height_px));
  const int is_done = stbir_resize_uint8(
      image.rgb.data(), static_cast<int>(image.width_px), static_cast<int>(image.height_px), 0,
      resized.rgb.data(), static_cast<int>(size.width_px), static_cast<int>(size.height_px), 0, 3);
  Check(is_done != 0, "a picture can be resized");
  return resized;
}

}  // namespace

Cut CutFor(const ImageSize& image, const ImageSize& size) {
  ImageSize cover = size;  // Rounded up to whole pixels.
  if (image.width_px * size.height_px > size.width_px * image.height_px) {
    cover.width_px = (image.width_px * size.height_px + image.height_px - 1) / image.height_px;
  } else {
    cover.height_px = (image.height_px * size.width_px + image.width_px - 1) / image.width_px;
  }
  return {.cover = cover,
          .left_px = (cover.width_px - size.width_px) / 2,
          .top_px = (cover.height_px - size.height_px) / 2};
}

Image CropToSize(const Image& image, const ImageSize& size) {
  const auto [cover, left_px, top_px] =
      CutFor({.width_px = image.width_px, .height_px = image.height_px}, size);
  const bool has_size = cover.width_px == image.width_px && cover.height_px == image.height_px;
  const Image scaled = has_size ? image : Resize(image, cover);
  Image cropped = {.width_px = size.width_px, .height_px = size.height_px};
  cropped.rgb.resize(static_cast<std::size_t>(3 * size.width_px * size.height_px));
  const auto row_bytes = static_cast<std::size_t>(3 * size.width_px);
  for (std::int64_t y = 0; y < size.height_px; ++y) {
    const std::int64_t begin = 3 * ((top_px + y) * cover.width_px + left_px);
    std::memcpy(&cropped.rgb[static_cast<std::size_t>(y) * row_bytes],
                &scaled.rgb[static_cast<std::size_t>(begin)], row_bytes);
  }
  return cropped;
}

}  // namespace stint
