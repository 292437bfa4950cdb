// Reads .safetensors files: named tensors behind a JSON header. The file is mapped, not copied, and
// not trusted: whatever its bytes, nothing outside of them is read. Knows no LibTorch.
//
//     8 bytes   header size n, little endian
//     n bytes   {"conv_in.weight": {"dtype": "F16", "shape": [320, 4, 3, 3],
//                                   "data_offsets": [begin, end]}, ..., "__metadata__": {...}}
//     the rest  data; offsets count from here; tensors cover it without holes or overlaps
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace stint {

struct SafetensorsEntry {
  std::string dtype{};  // "F32", "BF16", "I64", ...
  std::vector<std::int64_t> sizes{};
  std::span<const std::byte> data{};  // Within the mapped file; perhaps not aligned.
};

class SafetensorsFile {
 public:
  /// @throws InputError naming file and tensor if the file cannot be read or is malformed.
  explicit SafetensorsFile(const std::filesystem::path& path);
  ~SafetensorsFile();
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// By name. The data live as long as this file object.
  const std::map<std::string, SafetensorsEntry>& entries() const { return entries_; }

 private:
  std::filesystem::path path_;
  std::span<const std::byte> bytes_{};  // The mapping; empty if there is none.
  std::map<std::string, SafetensorsEntry> entries_;
};

/// The entries of a file whose whole content is `bytes`; `where` names it in errors.
/// @throws InputError as above.
std::map<std::string, SafetensorsEntry> ParseSafetensors(std::span<const std::byte> bytes,
                                                         const std::string& where);

}  // namespace stint
