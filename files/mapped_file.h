// A file's bytes in memory without reading them all: the system fetches what is looked at.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace stint {

class MappedFile {
 public:
  /// @throws InputError naming `path` if it is missing, empty, or no ordinary file.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// As long as this object lives. A file that someone shortens meanwhile ends the process at the
  /// next look (SIGBUS), as with every mapped file.
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::filesystem::path path_;
  std::span<const std::byte> bytes_{};
};

}  // namespace stint
