// The files of torch.save and torch.load: a zip archive of one pickle, which describes a tree of
// values, and one file for the numbers of each tensor. A pickle is a program for Python; here it is
// only read: what it may name is a fixed list of things, and nothing is ever called.
//
//     checkpoint/data.pkl       the tree; a tensor names its numbers, its dtype, sizes and strides
//     checkpoint/byteorder      "little"
//     checkpoint/data/0, 1, ..  the numbers, each file 64-byte aligned
//     checkpoint/version        "3"
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "files/mapped_file.h"
#include "files/tensor.h"
#include "files/zip.h"

namespace stint {

struct PthItem;
struct PthValue;
using PthList = std::vector<PthValue>;
using PthDict = std::vector<PthItem>;  // In the order of the file; keys differ.
/// It and PthValue have no initialisers: these would ask for what is declared below.
struct PthTuple {
  std::vector<PthValue> elements;
};

/// What torch.load(weights_only=True) gives back.
struct PthValue {
  /// Nothing is Python's None.
  std::variant<std::monostate, bool, std::int64_t, double, std::string, TensorView, PthList,
               PthTuple, PthDict>
      value;

  /// The member of that name of a dictionary; nullptr if it has none or this is no dictionary.
  const PthValue* Find(std::string_view key) const;
};

struct PthItem {
  PthValue key{};  // A text or an integer.
  PthValue value{};
};

/// Has torch a type of file for these numbers? (Not for unsigned ones of more than 8 bits.)
bool IsPthDtype(Dtype dtype);

/// Writes whole or not at all. The tensors' bytes go from where they are to the file, without
/// another copy. `wide_from`: see ZipWriter.
/// @throws InputError naming `path` if it cannot be written.
void WritePth(const std::filesystem::path& path, const PthValue& root,
              std::uint64_t wide_from = 0xFFFFFFFF);

class PthFile {
 public:
  /// Maps the file and reads its tree; numbers are read when they are looked at.
  /// @throws InputError naming the file if it cannot be read, is damaged, or names anything but
  /// tensors, numbers, texts and containers of them.
  explicit PthFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return file_.path(); }
  /// Tensors in it live as long as this object.
  const PthValue& root() const { return root_; }
  /// Reads all and compares checksums.
  /// @throws InputError naming the part that is damaged.
  void CheckChecksums() const;

 private:
  MappedFile file_;
  std::map<std::string, ZipEntry> entries_;
  PthValue root_;
};

/// The tree of an archive's entries.
/// @throws InputError as PthFile does.
PthValue ParsePth(const std::map<std::string, ZipEntry>& entries, const std::string& where);

}  // namespace stint
