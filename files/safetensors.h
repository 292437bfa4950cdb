// Reads .safetensors files: named tensors behind a JSON header. The file is mapped, not copied, and
// not trusted: whatever its bytes, nothing outside of them is read.
//
//     8 bytes   header size n, little endian
//     n bytes   {"conv_in.weight": {"dtype": "F16", "shape": [320, 4, 3, 3],
//                                   "data_offsets": [begin, end]}, ..., "__metadata__": {...}}
//     the rest  data; offsets count from here; tensors cover it without holes or overlaps
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <span>
#include <string>

#include "files/mapped_file.h"
#include "files/tensor.h"

namespace stint {

struct SafetensorsContent {
  std::map<std::string, TensorView> tensors{};    // By name; their bytes lie in the file's.
  std::map<std::string, std::string> metadata{};  // Free words of the writer: "format" is "pt".
};

/// The content of a file whose bytes are `bytes`; `where` names it in errors.
/// @throws InputError naming file and tensor if it is malformed.
SafetensorsContent ParseSafetensors(std::span<const std::byte> bytes, const std::string& where);

class SafetensorsFile {
 public:
  /// @throws InputError naming file and tensor if the file cannot be read or is malformed.
  explicit SafetensorsFile(const std::filesystem::path& path)
      : file_(path), content_(ParseSafetensors(file_.bytes(), path.string())) {}

  const std::filesystem::path& path() const { return file_.path(); }
  /// By name. The data live as long as this file object.
  const std::map<std::string, TensorView>& tensors() const { return content_.tensors; }
  const std::map<std::string, std::string>& metadata() const { return content_.metadata; }

 private:
  MappedFile file_;
  SafetensorsContent content_;
};

}  // namespace stint
