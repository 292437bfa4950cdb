#include "files/image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <turbojpeg.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>

#include "files/picture_folder.h"
#include "ir/errors.h"
#include "tests/support/temporary_folder.h"

namespace stint {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

std::span<const std::byte> BytesOf(const std::string& text) {
  return std::as_bytes(std::span(text));
}

/// Red grows to the right, green downwards.
Image Slopes(std::int64_t width_px, std::int64_t height_px) {
  Image image = {.width_px = width_px, .height_px = height_px};
  for (std::int64_t y = 0; y < height_px; ++y) {
    for (std::int64_t x = 0; x < width_px; ++x) {
      image.rgb.push_back(static_cast<std::uint8_t>(255 * x / width_px));
      image.rgb.push_back(static_cast<std::uint8_t>(255 * y / height_px));
      image.rgb.push_back(100);
    }
  }
  return image;
}

std::string EncodeJpeg(const Image& image) {
  unsigned char* data = nullptr;
  unsigned long size_bytes = 0;
  void* const encoder = tjInitCompress();
  tjCompress2(encoder, image.rgb.data(), static_cast<int>(image.width_px), 0,
              static_cast<int>(image.height_px), TJPF_RGB, &data, &size_bytes, TJSAMP_444, 95, 0);
  std::string jpeg(reinterpret_cast<const char*>(data), size_bytes);
  tjFree(data);
  tjDestroy(encoder);
  return jpeg;
}

template <typename Act>
std::string Refusal(const Act& act) {
  try {
    act();
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(ImageTest, PngKeepsEveryPixelAndItsTexts) {
  const PngTexts texts = {{"parameters", "a boat\nSteps: 30, Seed: 1"}, {"Title", "a böat"}};
  const std::string png = EncodePng(Slopes(5, 3), texts);
  const Image image = DecodeImage(BytesOf(png), "p.png");
  EXPECT_EQ(image.width_px, 5);
  EXPECT_EQ(image.height_px, 3);
  EXPECT_EQ(image.rgb, Slopes(5, 3).rgb);
  EXPECT_EQ(DecodePngTexts(BytesOf(png), "p.png"), texts);
  EXPECT_EQ(png, EncodePng(Slopes(5, 3), texts));
}

TEST(ImageTest, JpegIsNearlyThePicture) {
  const std::string jpeg = EncodeJpeg(Slopes(64, 32));
  const Image image = DecodeImage(BytesOf(jpeg), "p.jpg");
  const Image expected = Slopes(64, 32);
  ASSERT_EQ(image.rgb.size(), expected.rgb.size());
  for (std::size_t i = 0; i < image.rgb.size(); ++i) {
    ASSERT_LE(std::abs(image.rgb[i] - expected.rgb[i]), 10) << i;
  }
}

TEST(ImageTest, CropsAroundTheCentreAndScalesToCover) {
  // 8x4 already covers 4x4: columns 2 to 5 stay.
  const Image cropped = CropToSize(Slopes(8, 4), {.width_px = 4, .height_px = 4});
  EXPECT_EQ(cropped.rgb[0], 255 * 2 / 8);
  EXPECT_EQ(cropped.rgb[9], 255 * 5 / 8);
  // 100x50 to 20x20: scaled to 40x20, the middle half of the slope remains: 64 to 191.
  const Image scaled = CropToSize(Slopes(100, 50), {.width_px = 20, .height_px = 20});
  ASSERT_EQ(scaled.rgb.size(), 3U * 20 * 20);
  EXPECT_NEAR(scaled.rgb[0], 64, 6);
  EXPECT_NEAR(scaled.rgb[3 * 19], 191, 6);
  EXPECT_EQ(scaled.rgb[2], 100);
}

TEST(ImageTest, NamesWhatIsNoPictureOrTooLarge) {
  EXPECT_EQ(Refusal([] { DecodeImage(BytesOf("GIF89a"), "p.gif"); }),
            "p.gif: is neither a PNG nor a JPEG");
  EXPECT_EQ(Refusal([] { ReadImage("/nowhere/p.png"); }),
            "/nowhere/p.png: cannot be read (No such file or directory)");
  const std::string png = EncodePng(Slopes(50, 50), {});
  EXPECT_THAT(Refusal([&] { DecodeImage(BytesOf(png.substr(0, png.size() / 2)), "p"); }),
              HasSubstr("p: is a damaged PNG ("));
  const std::string jpeg = EncodeJpeg(Slopes(50, 50));
  EXPECT_THAT(Refusal([&] { DecodeImage(BytesOf(jpeg.substr(0, jpeg.size() / 2)), "p"); }),
              HasSubstr("p: is a damaged JPEG ("));
  EXPECT_EQ(Refusal([] { DecodeImageSize(BytesOf(EncodePng(Slopes(20'000, 1), {})), "p"); }),
            "p: has 20000 x 1 pixels, more than Stint reads");
}

void Write(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

TEST(PictureFolderTest, ReadsCaptionsBesideThePictures) {
  const TemporaryFolder folder;
  WritePng(folder / "b.png", Slopes(4, 2), {});
  Write(folder / "b.txt", "  a red boat \n");
  Write(folder / "a.JPG", EncodeJpeg(Slopes(8, 8)));
  Write(folder / "a.txt", "a cat");
  Write(folder / "notes.md", "no picture");
  const PictureFolder found = ScanPictures(folder.path(), BadPicture::kRefuse);
  ASSERT_EQ(found.pictures.size(), 2U);
  EXPECT_EQ(found.pictures[0].caption, "a cat");
  EXPECT_EQ(found.pictures[1].caption, "a red boat");
  EXPECT_EQ(found.pictures[1].size.width_px, 4);
}

TEST(PictureFolderTest, ReadsCaptionsOfHuggingFacesImagefolder) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "train");
  WritePng(folder / "train/a.png", Slopes(4, 2), {});
  Write(folder / "metadata.jsonl",
        "{\"file_name\": \"train/a.png\", \"text\": \"a boat\", \"width\": 4}\n\n");
  const PictureFolder found = ScanPictures(folder.path(), BadPicture::kRefuse);
  ASSERT_EQ(found.pictures.size(), 1U);
  EXPECT_EQ(found.pictures[0].caption, "a boat");
}

TEST(PictureFolderTest, NamesBadPicturesAndSkipsThemOnRequest) {
  const TemporaryFolder folder;
  EXPECT_THAT(Refusal([&] { ScanPictures(folder.path(), BadPicture::kRefuse); }),
              HasSubstr("holds no PNG or JPEG pictures"));
  Write(folder / "a.png", "\x89PNG\r\n\x1a\n");
  Write(folder / "a.txt", "broken");
  WritePng(folder / "b.png", Slopes(4, 2), {});
  WritePng(folder / "c.png", Slopes(4, 2), {});
  Write(folder / "c.txt", " \n");
  WritePng(folder / "d.png", Slopes(4, 2), {});
  Write(folder / "d.txt", "good");
  EXPECT_THAT(Refusal([&] { ScanPictures(folder.path(), BadPicture::kRefuse); }),
              HasSubstr("a.png: is a damaged PNG"));
  const PictureFolder found = ScanPictures(folder.path(), BadPicture::kSkip);
  EXPECT_EQ(found.pictures.size(), 1U);
  EXPECT_THAT(found.skipped,
              ElementsAre(HasSubstr("a.png: is a damaged PNG"),
                          HasSubstr("b.png: has no caption: neither b.txt nor metadata.jsonl"),
                          HasSubstr("c.png: has an empty caption")));
}

TEST(PictureFolderTest, NamesTheLineOfMetadataThatIsWrong) {
  const auto refusal = [](const std::string& text) {
    return Refusal([&] { ParseMetadataLines(text, "m.jsonl"); });
  };
  const std::string good = "{\"file_name\": \"a.png\", \"text\": \"x\"}\n";
  EXPECT_THAT(ParseMetadataLines(good, "m.jsonl"), ElementsAre(Pair("a.png", "x")));
  EXPECT_EQ(refusal(good + "{\"file_name\": \"b.png\"}"), "m.jsonl:2: has no text");
  EXPECT_EQ(refusal("{\"file_name\": \"../b.png\", \"text\": \"x\"}"),
            "m.jsonl:1: names '../b.png', which is no file of its folder");
  EXPECT_EQ(refusal(good + good), "m.jsonl:2: names 'a.png' for the second time");
  EXPECT_THAT(refusal(good + "{"), HasSubstr("m.jsonl:2"));
}

}  // namespace
}  // namespace stint
