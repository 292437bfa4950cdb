#include "files/picture_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <system_error>
#include <utility>

#include "ir/errors.h"
#include "ir/file.h"
#include "ir/json_reader.h"
#include "ir/quoted.h"

namespace stint {
namespace {

namespace fs = std::filesystem;

constexpr char kMetadataFile[] = "metadata.jsonl";

bool IsPicture(const fs::path& path) {
  std::string extension = path.extension().string();
  std::ranges::transform(extension, extension.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return extension == ".png" || extension == ".jpg" || extension == ".jpeg";
}

std::string Trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(kSpace) - begin + 1));
}

/// Names relative to the folder, with captions where metadata.jsonl gives them all.
std::vector<std::pair<std::string, std::optional<std::string>>> ListPictures(
    const fs::path& folder) {
  std::vector<std::pair<std::string, std::optional<std::string>>> names;
  std::error_code error;
  if (fs::exists(folder / kMetadataFile, error)) {
    const fs::path path = folder / kMetadataFile;
    for (auto& [name, caption] : ParseMetadataLines(ReadText(path), path.string())) {
      names.emplace_back(name, caption);
    }
    return names;
  }
  fs::directory_iterator entries(folder, error);
  if (error) throw InputError(folder.string(), fmt::format("cannot be read ({})", error.message()));
  for (const fs::directory_entry& entry : entries) {
    if (IsPicture(entry.path())) names.emplace_back(entry.path().filename().string(), std::nullopt);
  }
  std::ranges::sort(names);
  return names;
}

std::string CaptionBeside(const fs::path& picture) {
  fs::path path = picture;
  path.replace_extension(".txt");
  std::error_code error;
  if (!fs::exists(path, error)) {
    throw InputError(picture.string(), fmt::format("has no caption: neither {} nor {}",
                                                   path.filename().string(), kMetadataFile));
  }
  return ReadText(path);
}

CaptionedPicture ReadPicture(const fs::path& path, const std::optional<std::string>& caption) {
  CaptionedPicture picture = {.path = path,
                              .caption = Trimmed(caption ? *caption : CaptionBeside(path))};
  if (picture.caption.empty()) throw InputError(path.string(), "has an empty caption");
  picture.size = ReadImageSize(path);
  return picture;
}

}  // namespace

PictureFolder ScanPictures(const fs::path& folder, BadPicture bad_picture) {
  PictureFolder found;
  for (const auto& [name, caption] : ListPictures(folder)) {
    try {
      found.pictures.push_back(ReadPicture(folder / name, caption));
    } catch (const InputError& error) {
      if (bad_picture == BadPicture::kRefuse) throw;
      found.skipped.emplace_back(error.what());
    }
  }
  if (found.pictures.empty()) {
    throw InputError(folder.string(), found.skipped.empty()
                                          ? "holds no PNG or JPEG pictures"
                                          : fmt::format("holds no picture of use; the first: {}",
                                                        found.skipped.front()));
  }
  return found;
}

std::map<std::string, std::string> ParseMetadataLines(std::string_view text,
                                                      const std::string& where) {
  std::map<std::string, std::string> captions;
  for (std::int64_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (Trimmed(line).empty()) continue;
    std::optional<std::string> name, caption;
    JsonReader json(line, fmt::format("{}:{}", where, number));
    json.Object([&](std::string_view key) {
      if (key != "file_name" && key != "text") return json.Skip();
      std::optional<std::string>& value = key == "text" ? caption : name;
      if (value) json.Fail("is there twice");
      value = json.String();
    });
    if (!name || !caption) json.Fail(fmt::format("has no {}", name ? "text" : "file_name"));
    const fs::path path = *name;
    if (path.empty() || path.is_absolute() || std::ranges::count(path, fs::path("..")) > 0) {
      json.Fail(fmt::format("names '{}', which is no file of its folder", Quoted(*name)));
    }
    if (!captions.emplace(*name, *caption).second) {
      json.Fail(fmt::format("names '{}' for the second time", Quoted(*name)));
    }
  }
  return captions;
}

}  // namespace stint
