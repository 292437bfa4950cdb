// A folder of pictures with captions, to train on:
//
//     a.png  a.txt               a picture and its caption; or
//     b.jpg  metadata.jsonl      captions of all: {"file_name": "b.jpg", "text": "a red boat"},
//                                one object a line, as in Hugging Face's imagefolder
//
// Only headers are read here; see files/image.h for the pictures themselves.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "files/image.h"

namespace stint {

struct CaptionedPicture {
  std::filesystem::path path{};
  std::string caption{};
  ImageSize size{};  // As the file's header says.
};

struct PictureFolder {
  std::vector<CaptionedPicture> pictures{};  // By name.
  std::vector<std::string> skipped{};        // One line for each picture that was left out: why.
};

enum class BadPicture : std::uint8_t { kRefuse, kSkip };

/// All PNG and JPEG files of a folder, not of those in it unless metadata.jsonl names them.
/// @throws InputError naming the first that is damaged or has no caption, unless those are skipped;
/// and if none is left.
PictureFolder ScanPictures(const std::filesystem::path& folder, BadPicture bad_picture);

/// Captions by file name. Keys but file_name and text are of no account.
/// @throws InputError naming the line.
std::map<std::string, std::string> ParseMetadataLines(std::string_view text,
                                                      const std::string& where);

}  // namespace stint
