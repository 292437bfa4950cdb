// Zip archives of files that lie in them as they are ("stored"), which is what torch.save writes.
// No compression, no encryption: an archive that has them is refused.
//
//     local header, name, padding | bytes of a file     for each file; the bytes are 64-byte
//     aligned central directory           | for each file again: name, sizes, checksum, place end
//     record                  | where the directory lies; before it a second, wider end record
//                                   where a count or a place needs more than 32 bits ("zip64")
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/output_file.h"

namespace stint {

class ZipWriter {
 public:
  /// `output` is empty and outlives the writer. Sizes and places of `wide_from` and more are
  /// written in 64 bits; tests lower it.
  explicit ZipWriter(OutputFile& output, std::uint64_t wide_from = 0xFFFFFFFF)
      : output_(output), wide_from_(wide_from) {}

  /// @throws InputError if the file cannot be written.
  void Add(const std::string& name, std::span<const std::byte> bytes);
  void Add(const std::string& name, std::string_view text) {
    Add(name, std::as_bytes(std::span(text)));
  }
  /// Writes the directory; nothing is added afterwards.
  void Finish();

 private:
  struct Entry {
    std::string name{};
    std::uint32_t checksum = 0;
    std::uint64_t size_bytes = 0;
    std::uint64_t begin = 0;  // Of the local header.
  };

  std::string LocalHeader(const Entry& entry) const;
  std::string DirectoryHeader(const Entry& entry) const;
  bool IsWide(std::uint64_t number) const { return number >= wide_from_; }

  OutputFile& output_;
  std::uint64_t wide_from_;
  std::vector<Entry> entries_{};
};

/// A file in an archive.
struct ZipEntry {
  std::span<const std::byte> data{};  // Within the archive's bytes.
  std::uint32_t checksum = 0;         // CRC-32 as the archive says; see HasChecksum.
};

/// The files in an archive whose bytes are `bytes`, by name; `where` names it in errors. Reads the
/// directory only, not the files.
/// @throws InputError if it is damaged, or not of the simple kind above.
std::map<std::string, ZipEntry> ParseZip(std::span<const std::byte> bytes,
                                         const std::string& where);

/// Reads all of its bytes.
bool HasChecksum(const ZipEntry& entry);

}  // namespace stint
