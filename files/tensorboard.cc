#include "files/tensorboard.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <chrono>
#include <string>

#include "ir/errors.h"

namespace stint {
namespace {

constexpr std::array<std::uint32_t, 256> MakeCrcTable() {
  constexpr std::uint32_t kCastagnoli = 0x82f63b78;  // The polynomial, lowest bit first.
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    std::uint32_t rest = i;
    for (int bit = 0; bit < 8; ++bit) rest = (rest >> 1) ^ ((rest & 1) != 0 ? kCastagnoli : 0);
    table[i] = rest;
  }
  return table;
}

constexpr std::uint32_t Crc32c(std::string_view bytes) {
  constexpr std::array<std::uint32_t, 256> kTable = MakeCrcTable();
  std::uint32_t crc = 0xffffffff;
  for (const char byte : bytes) {
    crc = (crc >> 8) ^ kTable[(crc ^ static_cast<unsigned char>(byte)) & 0xff];
  }
  return ~crc;
}
static_assert(Crc32c("123456789") == 0xe3069283, "the check value of CRC-32C");

constexpr std::uint32_t Checksum(std::string_view bytes) {
  return std::rotr(Crc32c(bytes), 15) + 0xa282ead8;
}

template <typename Integer>
void AppendFixed(std::string& bytes, Integer value) {
  for (std::size_t i = 0; i < sizeof(value); ++i) {
    bytes += static_cast<char>((value >> (8 * i)) & 0xff);
  }
}

// Protobuf: a field is a tag, its number with its kind, and then its value.
enum class Wire : std::uint64_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

void AppendVarint(std::string& bytes, std::uint64_t value) {
  constexpr std::uint64_t kMore = 0x80;
  for (; value >= kMore; value >>= 7) bytes += static_cast<char>((value & 0x7f) | kMore);
  bytes += static_cast<char>(value);
}

void AppendTag(std::string& bytes, std::uint64_t field, Wire wire) {
  AppendVarint(bytes, (field << 3) | static_cast<std::uint64_t>(wire));
}

void AppendBytes(std::string& bytes, std::uint64_t field, std::string_view value) {
  AppendTag(bytes, field, Wire::kBytes);
  AppendVarint(bytes, value.size());
  bytes += value;
}

std::chrono::nanoseconds Now() { return std::chrono::system_clock::now().time_since_epoch(); }

/// wall_time = 1 and step = 2 of an Event.
std::string BeginEvent(std::int64_t step) {
  std::string event;
  AppendTag(event, 1, Wire::kFixed64);
  AppendFixed(event, std::bit_cast<std::uint64_t>(std::chrono::duration<double>(Now()).count()));
  AppendTag(event, 2, Wire::kVarint);
  AppendVarint(event, static_cast<std::uint64_t>(step));
  return event;
}

std::filesystem::path NewPath(const std::filesystem::path& folder) {
  constexpr std::int64_t kNanosecondsPerSecond = 1'000'000'000;
  const std::int64_t now_ns = Now().count();
  return folder / fmt::format("events.out.tfevents.{:010}.{:09}.stint",
                              now_ns / kNanosecondsPerSecond, now_ns % kNanosecondsPerSecond);
}

}  // namespace

TensorBoardFile::TensorBoardFile(const std::filesystem::path& folder, std::int64_t first_step)
    : path_(NewPath(folder)), file_(path_, std::ios::binary) {
  std::string version = BeginEvent(0);
  AppendBytes(version, 3, "brain.Event:2");  // file_version
  Write(version);
  std::string status;
  AppendTag(status, 1, Wire::kVarint);
  AppendVarint(status, 1);  // SessionLog.START
  std::string start = BeginEvent(first_step);
  AppendBytes(start, 7, status);  // session_log
  Write(start);
}

void TensorBoardFile::Append(std::int64_t step, std::span<const Scalar> scalars) {
  std::string summary;
  for (const Scalar& scalar : scalars) {
    std::string value;
    AppendBytes(value, 1, scalar.tag);
    AppendTag(value, 2, Wire::kFixed32);  // simple_value
    AppendFixed(value, std::bit_cast<std::uint32_t>(static_cast<float>(scalar.value)));
    AppendBytes(summary, 1, value);
  }
  std::string event = BeginEvent(step);
  AppendBytes(event, 5, summary);  // summary
  Write(event);
}

void TensorBoardFile::Write(std::string_view event) {
  std::string record;
  AppendFixed(record, static_cast<std::uint64_t>(event.size()));
  AppendFixed(record, Checksum(record));
  record += event;
  AppendFixed(record, Checksum(event));
  file_ << record << std::flush;
  if (!file_) throw InputError(path_.string(), "cannot be written");
}

}  // namespace stint
