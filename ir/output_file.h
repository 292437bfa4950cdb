// Writes one file from front to end so that a reader sees the old file or the whole new one, never
// a part: the bytes go to a temporary name beside it, are synced, and are renamed. Killed at any
// moment, the process leaves the old file as it was. Refuses to know what the bytes mean.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace stint {

class OutputFile {
 public:
  /// Opens ".<name>.<process id>.tmp" beside `path`.
  /// @throws InputError naming `path` if it cannot be written, here and below.
  explicit OutputFile(const std::filesystem::path& path);
  /// Removes the temporary file unless it was committed.
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void Append(std::span<const std::byte> bytes);
  void Append(std::string_view text) { Append(std::as_bytes(std::span(text))); }
  std::int64_t size_bytes() const { return size_bytes_; }

  /// Syncs the bytes and gives them their name. Nothing may be appended afterwards.
  void Commit();

 private:
  [[noreturn]] void Fail(int error) const;

  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;          // -1 once it is closed.
  std::int64_t size_bytes_ = 0;  // Appended so far.
};

/// Removes the temporary files that processes which are no more left beside `path` and others of
/// its folder, killed while they wrote.
void RemoveAbandonedFiles(const std::filesystem::path& folder);

}  // namespace stint
