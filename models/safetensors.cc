#include "models/safetensors.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "ir/errors.h"

namespace stint {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kHeaderSizeBytes = 8;
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // The format's own limit.

/// 0 for a dtype that does not exist.
std::uint64_t ElementBytesOf(const std::string& dtype) {
  static const std::map<std::string, std::uint64_t> sizes = {
      {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1},
      {"U16", 2},  {"I16", 2}, {"F16", 2}, {"BF16", 2},    {"U32", 4},
      {"I32", 4},  {"F32", 4}, {"U64", 8}, {"I64", 8},     {"F64", 8}};
  const auto found = sizes.find(dtype);
  return found == sizes.end() ? 0 : found->second;
}

/// The header, with its keys distinct: JSON itself would let the last of equal ones win.
Json ParseHeader(std::span<const std::byte> text, const std::string& where) {
  std::set<std::string> names;
  const auto refuse_equal_names = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::key && depth == 1 &&
        !names.insert(parsed.get<std::string>()).second) {
      throw InputError(where + ":" + parsed.get<std::string>(), "is there twice");
    }
    return true;
  };
  const auto* const begin = reinterpret_cast<const char*>(text.data());
  try {
    Json header = Json::parse(begin, begin + text.size(), refuse_equal_names);
    if (header.is_object()) return header;
  } catch (const Json::parse_error& error) {
    throw InputError(where, fmt::format("has a header that is not JSON: byte {} is wrong",
                                        kHeaderSizeBytes + error.byte));
  }
  throw InputError(where, "has a header that is not a JSON object");
}

const Json& Member(const Json& entry, const char* key, const std::string& where) {
  if (!entry.is_object() || !entry.contains(key))
    throw InputError(where, std::string("has no ") + key);
  return entry.at(key);
}

/// `value` as a list of numbers that are not negative.
std::vector<std::uint64_t> Numbers(const Json& value, const std::string& where) {
  std::vector<std::uint64_t> numbers;
  if (!value.is_array()) throw InputError(where, "is not a list of numbers");
  for (const Json& element : value) {
    if (!element.is_number_unsigned()) {
      throw InputError(where, fmt::format("holds {}, not a size", element.dump()));
    }
    numbers.push_back(element.get<std::uint64_t>());
  }
  return numbers;
}

SafetensorsEntry ParseEntry(const Json& json, std::span<const std::byte> data,
                            const std::string& where) {
  const Json& dtype = Member(json, "dtype", where);
  const std::uint64_t element_bytes =
      dtype.is_string() ? ElementBytesOf(dtype.get<std::string>()) : 0;
  if (element_bytes == 0) {
    throw InputError(where, fmt::format("has the unknown dtype {}", dtype.dump()));
  }
  SafetensorsEntry entry = {.dtype = dtype.get<std::string>()};

  constexpr std::uint64_t kMaxBytes = std::numeric_limits<std::int64_t>::max();
  std::uint64_t size_bytes = element_bytes;
  for (const std::uint64_t size : Numbers(Member(json, "shape", where), where + " shape")) {
    if (size > kMaxBytes || (size != 0 && size_bytes > kMaxBytes / size)) {
      throw InputError(where, "has a shape of more than 2^63 bytes");
    }
    size_bytes *= size;
    entry.sizes.push_back(static_cast<std::int64_t>(size));
  }

  const auto offsets = Numbers(Member(json, "data_offsets", where), where + " data_offsets");
  if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > data.size()) {
    throw InputError(where, fmt::format("has data_offsets that are no range of the file's {} bytes",
                                        data.size()));
  }
  if (offsets[1] - offsets[0] != size_bytes) {
    throw InputError(where, fmt::format("has {} bytes, but its shape takes {}",
                                        offsets[1] - offsets[0], size_bytes));
  }
  entry.data = data.subspan(offsets[0], size_bytes);
  return entry;
}

/// The tensors lie side by side, from the first byte of `data` to the last.
void CheckCover(const std::map<std::string, SafetensorsEntry>& entries,
                std::span<const std::byte> data, const std::string& where) {
  std::vector<std::pair<std::span<const std::byte>, std::string>> ranges;
  for (const auto& [name, entry] : entries) ranges.emplace_back(entry.data, name);
  std::ranges::sort(ranges, {}, [](const auto& range) {
    return std::pair(range.first.data(), range.first.size());
  });
  const std::byte* end = data.data();
  for (const auto& [range, name] : ranges) {
    if (range.data() != end) {
      throw InputError(where + ":" + name, range.data() < end
                                               ? "overlaps another tensor"
                                               : "begins after bytes that belong to no tensor");
    }
    end += range.size();
  }
  if (end != data.data() + data.size()) {
    throw InputError(where, "ends with bytes that belong to no tensor");
  }
}

/// Maps the whole file for reading.
std::span<const std::byte> MapFile(const std::filesystem::path& path) {
  const auto fail = [&] { return InputError(path.string(), std::strerror(errno)); };
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) throw fail();
  struct stat status = {};
  if (fstat(file, &status) != 0) {
    const InputError error = fail();
    close(file);
    throw error;
  }
  if (!S_ISREG(status.st_mode) || status.st_size == 0) {
    close(file);
    throw InputError(path.string(), S_ISREG(status.st_mode) ? "is empty" : "is not a file");
  }
  const auto size_bytes = static_cast<std::size_t>(status.st_size);
  void* const data = mmap(nullptr, size_bytes, PROT_READ, MAP_PRIVATE, file, 0);
  const InputError error = fail();
  close(file);
  if (data == MAP_FAILED) throw error;
  return {static_cast<const std::byte*>(data), size_bytes};
}

void Unmap(std::span<const std::byte> bytes) {
  munmap(const_cast<std::byte*>(bytes.data()), bytes.size());
}

}  // namespace

std::map<std::string, SafetensorsEntry> ParseSafetensors(std::span<const std::byte> bytes,
                                                         const std::string& where) {
  if (bytes.size() < kHeaderSizeBytes) throw InputError(where, "is too short for a header");
  std::uint64_t header_bytes = 0;
  for (std::size_t i = 0; i < kHeaderSizeBytes; ++i) {
    header_bytes |= std::to_integer<std::uint64_t>(bytes[i]) << (8 * i);
  }
  if (header_bytes > kMaxHeaderBytes || header_bytes > bytes.size() - kHeaderSizeBytes) {
    throw InputError(where, fmt::format("says that its header has {} bytes", header_bytes));
  }
  const Json header = ParseHeader(bytes.subspan(kHeaderSizeBytes, header_bytes), where);
  const std::span<const std::byte> data = bytes.subspan(kHeaderSizeBytes + header_bytes);

  std::map<std::string, SafetensorsEntry> entries;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    entries.emplace(name, ParseEntry(entry, data, where + ":" + name));
  }
  CheckCover(entries, data, where);
  return entries;
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : path_(path), bytes_(MapFile(path)) {
  try {
    entries_ = ParseSafetensors(bytes_, path.string());
  } catch (...) {
    Unmap(bytes_);
    throw;
  }
}

SafetensorsFile::~SafetensorsFile() { Unmap(bytes_); }

}  // namespace stint
