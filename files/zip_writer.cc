#include <zlib.h>

#include "files/zip.h"

namespace stint {
namespace {

constexpr std::uint64_t kAlignmentBytes = 64;  // As torch.save aligns; a cache line.
constexpr std::uint64_t kLocalHeaderBytes = 30;
constexpr std::uint32_t kIsElsewhere32 = 0xFFFFFFFF;  // The number stands in a zip64 field.
constexpr std::uint16_t kIsElsewhere16 = 0xFFFF;
constexpr std::uint16_t kVersionOfZip64 = 45;
constexpr std::uint16_t kFirstOfJanuary1980 = 0x21;  // Equal states, equal bytes: no clock.

/// Appends numbers, the low byte first.
class Bytes {
 public:
  Bytes& U16(std::uint64_t number) { return Put(number, 2); }
  Bytes& U32(std::uint64_t number) { return Put(number, 4); }
  Bytes& U64(std::uint64_t number) { return Put(number, 8); }
  Bytes& Text(std::string_view text) {
    text_ += text;
    return *this;
  }
  const std::string& text() const { return text_; }

 private:
  Bytes& Put(std::uint64_t number, int byte_count) {
    for (int i = 0; i < byte_count; ++i) text_ += static_cast<char>(number >> (8 * i) & 0xff);
    return *this;
  }
  std::string text_{};
};

std::uint32_t Checksum(std::span<const std::byte> bytes) {
  const auto* const data = reinterpret_cast<const Bytef*>(bytes.data());
  return static_cast<std::uint32_t>(crc32_z(0, data, bytes.size()));
}

/// What both kinds of header have in common.
Bytes& Middle(Bytes& bytes, std::uint32_t checksum, std::uint64_t size_bytes, bool is_wide,
              std::uint64_t name_bytes, std::uint64_t extra_bytes) {
  const std::uint64_t shown_bytes = is_wide ? kIsElsewhere32 : size_bytes;
  return bytes.U16(kVersionOfZip64)
      .U16(0)  // Flags.
      .U16(0)  // Stored.
      .U16(0)  // Time.
      .U16(kFirstOfJanuary1980)
      .U32(checksum)
      .U32(shown_bytes)
      .U32(shown_bytes)
      .U16(name_bytes)
      .U16(extra_bytes);
}

}  // namespace

std::string ZipWriter::LocalHeader(const Entry& entry) const {
  const bool is_wide = IsWide(entry.size_bytes);
  Bytes extra;
  if (is_wide) extra.U16(1).U16(16).U64(entry.size_bytes).U64(entry.size_bytes);
  // A field that nobody reads, as torch.save's "FB", moves the bytes to their place.
  constexpr std::uint64_t kFieldBytes = 4;
  const std::uint64_t end =
      entry.begin + kLocalHeaderBytes + entry.name.size() + extra.text().size() + kFieldBytes;
  const std::uint64_t padding_bytes = (kAlignmentBytes - end % kAlignmentBytes) % kAlignmentBytes;
  extra.Text("FB").U16(padding_bytes).Text(std::string(padding_bytes, 'Z'));

  Bytes header;
  header.U32(0x04034b50);
  Middle(header, entry.checksum, entry.size_bytes, is_wide, entry.name.size(), extra.text().size());
  return header.Text(entry.name).Text(extra.text()).text();
}

std::string ZipWriter::DirectoryHeader(const Entry& entry) const {
  const bool is_wide = IsWide(entry.size_bytes);
  const bool is_far = IsWide(entry.begin);
  Bytes field;
  if (is_wide) field.U64(entry.size_bytes).U64(entry.size_bytes);
  if (is_far) field.U64(entry.begin);
  Bytes extra;
  if (is_wide || is_far) extra.U16(1).U16(field.text().size()).Text(field.text());

  Bytes header;
  header.U32(0x02014b50).U16(kVersionOfZip64);
  Middle(header, entry.checksum, entry.size_bytes, is_wide, entry.name.size(), extra.text().size());
  return header
      .U16(0)  // Comment.
      .U16(0)  // Disk.
      .U16(0)  // Attributes, twice.
      .U32(0)
      .U32(is_far ? kIsElsewhere32 : entry.begin)
      .Text(entry.name)
      .Text(extra.text())
      .text();
}

void ZipWriter::Add(const std::string& name, std::span<const std::byte> bytes) {
  entries_.push_back({.name = name,
                      .checksum = Checksum(bytes),
                      .size_bytes = bytes.size(),
                      .begin = static_cast<std::uint64_t>(output_.size_bytes())});
  output_.Append(LocalHeader(entries_.back()));
  output_.Append(bytes);
}

void ZipWriter::Finish() {
  const auto begin = static_cast<std::uint64_t>(output_.size_bytes());
  std::string directory;
  for (const Entry& entry : entries_) directory += DirectoryHeader(entry);
  output_.Append(directory);
  const std::uint64_t end = begin + directory.size();
  const std::uint64_t count = entries_.size();
  const bool is_wide = IsWide(begin) || IsWide(directory.size()) || count >= kIsElsewhere16;
  Bytes bytes;
  if (is_wide) {
    bytes.U32(0x06064b50).U64(44).U16(kVersionOfZip64).U16(kVersionOfZip64).U32(0).U32(0);
    bytes.U64(count).U64(count).U64(directory.size()).U64(begin);
    bytes.U32(0x07064b50).U32(0).U64(end).U32(1);
  }
  const std::uint64_t shown_count = is_wide ? kIsElsewhere16 : count;
  bytes.U32(0x06054b50).U16(0).U16(0).U16(shown_count).U16(shown_count);
  bytes.U32(is_wide ? kIsElsewhere32 : directory.size());
  bytes.U32(is_wide ? kIsElsewhere32 : begin).U16(0);
  output_.Append(bytes.text());
}

}  // namespace stint
