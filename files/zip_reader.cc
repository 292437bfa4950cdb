#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <optional>

#include "files/zip.h"
#include "ir/errors.h"
#include "ir/quoted.h"

namespace stint {
namespace {

constexpr std::size_t kEndBytes = 22;
constexpr std::size_t kWideLocatorBytes = 20;
constexpr std::size_t kWideEndBytes = 56;
constexpr std::size_t kDirectoryHeaderBytes = 46;
constexpr std::size_t kLocalHeaderBytes = 30;
constexpr std::size_t kMaxCommentBytes = 0xFFFF;

/// Reads within the archive's bytes only; what lies outside is an error.
class Window {
 public:
  Window(std::span<const std::byte> bytes, const std::string& where)
      : bytes_(bytes), where_(where) {}

  [[noreturn]] void Fail(const std::string& fact) const { throw InputError(where_, fact); }

  std::span<const std::byte> At(std::uint64_t begin, std::uint64_t size_bytes) const {
    if (begin > bytes_.size() || size_bytes > bytes_.size() - begin) {
      Fail("is a zip archive that is cut off or damaged");
    }
    return bytes_.subspan(begin, size_bytes);
  }
  std::uint64_t Number(std::uint64_t begin, int byte_count) const {
    const std::span<const std::byte> bytes = At(begin, static_cast<std::uint64_t>(byte_count));
    std::uint64_t number = 0;
    for (int i = byte_count; i-- > 0;) {
      number = number << 8 | std::to_integer<std::uint64_t>(bytes[static_cast<std::size_t>(i)]);
    }
    return number;
  }
  std::uint64_t U16(std::uint64_t begin) const { return Number(begin, 2); }
  std::uint64_t U32(std::uint64_t begin) const { return Number(begin, 4); }
  std::uint64_t U64(std::uint64_t begin) const { return Number(begin, 8); }
  std::string Text(std::uint64_t begin, std::uint64_t size_bytes) const {
    const std::span<const std::byte> bytes = At(begin, size_bytes);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  std::size_t size() const { return bytes_.size(); }

 private:
  std::span<const std::byte> bytes_;
  const std::string& where_;
};

struct Directory {
  std::uint64_t begin = 0;
  std::uint64_t entry_count = 0;
};

/// The end record: the last place that looks like one and whose comment ends with the file.
std::uint64_t FindEnd(const Window& window) {
  if (window.size() < kEndBytes) window.Fail("is no zip archive");
  const std::uint64_t last = window.size() - kEndBytes;
  const std::uint64_t first = last - std::min<std::uint64_t>(last, kMaxCommentBytes);
  for (std::uint64_t begin = last + 1; begin-- > first;) {
    if (window.U32(begin) == 0x06054b50 && window.U16(begin + 20) == last - begin) return begin;
  }
  window.Fail("is no zip archive, or one that is cut off");
}

Directory FindDirectory(const Window& window) {
  const std::uint64_t end = FindEnd(window);
  if (end >= kWideLocatorBytes && window.U32(end - kWideLocatorBytes) == 0x07064b50) {
    const std::uint64_t wide_end = window.U64(end - kWideLocatorBytes + 8);
    window.At(wide_end, kWideEndBytes);
    if (window.U32(wide_end) != 0x06064b50) window.Fail("has a damaged zip64 end record");
    return {.begin = window.U64(wide_end + 48), .entry_count = window.U64(wide_end + 32)};
  }
  return {.begin = window.U32(end + 16), .entry_count = window.U16(end + 10)};
}

/// Numbers of one directory header: those that are 2^32 - 1 stand in its zip64 field, in this
/// order.
struct Numbers {
  std::uint64_t size_bytes = 0;
  std::uint64_t stored_bytes = 0;
  std::uint64_t begin = 0;
};

void ReadWideField(const Window& window, std::uint64_t begin, std::uint64_t end, Numbers& numbers) {
  while (begin + 4 <= end) {
    const std::uint64_t field_end = begin + 4 + window.U16(begin + 2);
    if (field_end > end) window.Fail("has a damaged zip field");
    if (window.U16(begin) == 1) {
      std::uint64_t at = begin + 4;
      for (std::uint64_t* number : {&numbers.size_bytes, &numbers.stored_bytes, &numbers.begin}) {
        if (*number != 0xFFFFFFFF) continue;
        if (at + 8 > field_end) window.Fail("has a damaged zip64 field");
        *number = window.U64(at);
        at += 8;
      }
      return;
    }
    begin = field_end;
  }
}

/// Where the bytes of a file lie whose local header begins at `begin`.
std::span<const std::byte> DataOf(const Window& window, const Numbers& numbers,
                                  const std::string& name) {
  window.At(numbers.begin, kLocalHeaderBytes);
  const std::uint64_t name_bytes = window.U16(numbers.begin + 26);
  const std::uint64_t extra_bytes = window.U16(numbers.begin + 28);
  if (window.U32(numbers.begin) != 0x04034b50 ||
      window.Text(numbers.begin + kLocalHeaderBytes, name_bytes) != name) {
    window.Fail(fmt::format("has a damaged header of '{}'", Quoted(name)));
  }
  return window.At(numbers.begin + kLocalHeaderBytes + name_bytes + extra_bytes,
                   numbers.size_bytes);
}

}  // namespace

std::map<std::string, ZipEntry> ParseZip(std::span<const std::byte> bytes,
                                         const std::string& where) {
  const Window window(bytes, where);
  const Directory directory = FindDirectory(window);
  std::map<std::string, ZipEntry> entries;
  std::uint64_t at = directory.begin;
  for (std::uint64_t i = 0; i < directory.entry_count; ++i) {
    window.At(at, kDirectoryHeaderBytes);
    if (window.U32(at) != 0x02014b50) window.Fail("has a damaged zip directory");
    const std::uint64_t name_bytes = window.U16(at + 28);
    const std::uint64_t extra_begin = at + kDirectoryHeaderBytes + name_bytes;
    const std::uint64_t extra_end = extra_begin + window.U16(at + 30);
    const std::string name = window.Text(at + kDirectoryHeaderBytes, name_bytes);
    window.At(extra_begin, extra_end - extra_begin);
    Numbers numbers = {.size_bytes = window.U32(at + 24),
                       .stored_bytes = window.U32(at + 20),
                       .begin = window.U32(at + 42)};
    ReadWideField(window, extra_begin, extra_end, numbers);
    if ((window.U16(at + 8) & 1U) != 0 || window.U16(at + 10) != 0 ||
        numbers.size_bytes != numbers.stored_bytes) {
      window.Fail(fmt::format("holds '{}' compressed or encrypted", Quoted(name)));
    }
    const ZipEntry entry = {.data = DataOf(window, numbers, name),
                            .checksum = static_cast<std::uint32_t>(window.U32(at + 16))};
    if (!entries.emplace(name, entry).second) {
      window.Fail(fmt::format("holds two files of the name '{}'", Quoted(name)));
    }
    at = extra_end + window.U16(at + 32);
  }
  return entries;
}

bool HasChecksum(const ZipEntry& entry) {
  const auto* const data = reinterpret_cast<const Bytef*>(entry.data.data());
  return crc32_z(0, data, entry.data.size()) == entry.checksum;
}

}  // namespace stint
