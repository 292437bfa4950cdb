#include "files/pth.h"

#include <fmt/format.h>

#include "files/pickle.h"
#include "ir/errors.h"
#include "ir/output_file.h"
#include "ir/quoted.h"

namespace stint {
namespace {

constexpr char kFolder[] = "checkpoint/";
constexpr std::string_view kPickleEnd = "/data.pkl";

std::string_view TextOf(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

const PthValue* PthValue::Find(std::string_view key) const {
  const auto* const dict = std::get_if<PthDict>(&value);
  if (dict == nullptr) return nullptr;
  for (const PthItem& item : *dict) {
    const auto* const name = std::get_if<std::string>(&item.key.value);
    if (name != nullptr && *name == key) return &item.value;
  }
  return nullptr;
}

void WritePth(const std::filesystem::path& path, const PthValue& root, std::uint64_t wide_from) {
  const Pickle pickle = MakePickle(root);
  OutputFile file(path);
  ZipWriter zip(file, wide_from);
  zip.Add(std::string(kFolder) + "data.pkl", pickle.text);
  zip.Add(std::string(kFolder) + "byteorder", std::string_view("little"));
  for (std::size_t i = 0; i < pickle.storages.size(); ++i) {
    zip.Add(fmt::format("{}data/{}", kFolder, i), pickle.storages[i]);
  }
  zip.Add(std::string(kFolder) + "version", std::string_view("3\n"));
  zip.Finish();
  file.Commit();
}

PthValue ParsePth(const std::map<std::string, ZipEntry>& entries, const std::string& where) {
  std::string folder;
  const ZipEntry* pickle = nullptr;
  for (const auto& [name, entry] : entries) {
    if (!name.ends_with(kPickleEnd) || name.find('/') != name.size() - kPickleEnd.size()) continue;
    if (pickle != nullptr) throw InputError(where, "holds two pickles");
    pickle = &entry;
    folder = name.substr(0, name.size() - kPickleEnd.size() + 1);
  }
  if (pickle == nullptr) throw InputError(where, "is a zip archive, but not of torch.save");
  const auto order = entries.find(folder + "byteorder");
  if (order != entries.end() && TextOf(order->second.data) != "little") {
    throw InputError(where, "holds numbers with the high byte first");
  }
  const auto find_storage = [&](const PickledStorage& storage) {
    const auto found = entries.find(folder + "data/" + storage.key);
    if (found == entries.end()) {
      throw InputError(where, fmt::format("lacks the storage '{}'", Quoted(storage.key)));
    }
    const std::span<const std::byte> bytes = found->second.data;
    const auto element_bytes = static_cast<std::size_t>(ElementBytes(storage.dtype));
    const auto element_count = static_cast<std::size_t>(storage.element_count);
    if (bytes.size() / element_bytes != element_count || bytes.size() % element_bytes != 0) {
      throw InputError(
          where, fmt::format("has {} bytes in storage '{}', which should hold {} "
                             "elements of {}",
                             bytes.size(), Quoted(storage.key), element_count, element_bytes));
    }
    return bytes;
  };
  return ParsePickle(TextOf(pickle->data), find_storage, where + ":data.pkl");
}

PthFile::PthFile(const std::filesystem::path& path)
    : file_(path),
      entries_(ParseZip(file_.bytes(), path.string())),
      root_(ParsePth(entries_, path.string())) {}

void PthFile::CheckChecksums() const {
  for (const auto& [name, entry] : entries_) {
    if (!HasChecksum(entry)) {
      throw InputError(path().string() + ":" + Quoted(name), "is damaged: its checksum is wrong");
    }
  }
}

}  // namespace stint
