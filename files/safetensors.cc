#include "files/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>
#include <vector>

#include "ir/errors.h"
#include "ir/quoted.h"

namespace stint {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kHeaderSizeBytes = 8;
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // The format's own limit.
constexpr int kMaxDepth = 3;                            // A list in a tensor in the header.
constexpr char kMetadata[] = "__metadata__";

std::string Place(const std::string& where, const std::string& name) {
  return where + ":" + Quoted(name);
}

/// The header, with its keys distinct: JSON itself would let the last of equal ones win.
Json ParseHeader(std::span<const std::byte> text, const std::string& where) {
  std::set<std::string> names;
  const auto refuse = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (depth >= kMaxDepth &&
        (event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start)) {
      throw InputError(where, "has a header that is nested too deeply");
    }
    if (event == Json::parse_event_t::key && depth == 1 &&
        !names.insert(parsed.get<std::string>()).second) {
      throw InputError(Place(where, parsed.get<std::string>()), "is there twice");
    }
    return true;
  };
  const auto* const begin = reinterpret_cast<const char*>(text.data());
  try {
    Json header = Json::parse(begin, begin + text.size(), refuse);
    if (header.is_object()) return header;
  } catch (const Json::parse_error& error) {
    throw InputError(where, fmt::format("has a header that is not JSON: byte {} is wrong",
                                        kHeaderSizeBytes + error.byte));
  } catch (const Json::exception&) {  // A number beyond all doubles.
    throw InputError(where, "has a header with a number that is too large");
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
      throw InputError(where, fmt::format("holds {}, not a size", Quoted(element.dump())));
    }
    numbers.push_back(element.get<std::uint64_t>());
  }
  return numbers;
}

Dtype ParseDtype(const Json& value, const std::string& where) {
  if (!value.is_string()) throw InputError(where, "has a dtype that is not a text");
  const auto name = value.get<std::string>();
  const std::optional<Dtype> dtype = DtypeOfSafetensorsName(name);
  if (!dtype) throw InputError(where, fmt::format("has the unknown dtype \"{}\"", Quoted(name)));
  return *dtype;
}

TensorView ParseTensor(const Json& json, std::span<const std::byte> data,
                       const std::string& where) {
  TensorView tensor = {.dtype = ParseDtype(Member(json, "dtype", where), where)};

  constexpr std::uint64_t kMaxBytes = std::numeric_limits<std::int64_t>::max();
  auto size_bytes = static_cast<std::uint64_t>(ElementBytes(tensor.dtype));
  for (const std::uint64_t size : Numbers(Member(json, "shape", where), where + " shape")) {
    if (size > kMaxBytes || (size != 0 && size_bytes > kMaxBytes / size)) {
      throw InputError(where, "has a shape of more than 2^63 bytes");
    }
    size_bytes *= size;
    tensor.sizes.push_back(static_cast<std::int64_t>(size));
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
  tensor.data = data.subspan(offsets[0], size_bytes);
  return tensor;
}

std::map<std::string, std::string> ParseMetadata(const Json& json, const std::string& where) {
  if (!json.is_object()) throw InputError(where, "is not an object of texts");
  std::map<std::string, std::string> metadata;
  for (const auto& [key, value] : json.items()) {
    if (!value.is_string()) throw InputError(where, "is not an object of texts");
    metadata.emplace(key, value.get<std::string>());
  }
  return metadata;
}

/// The tensors lie side by side, from the first byte of `data` to the last.
void CheckCover(const std::map<std::string, TensorView>& tensors, std::span<const std::byte> data,
                const std::string& where) {
  std::vector<std::pair<std::span<const std::byte>, const std::string*>> ranges;
  ranges.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors) ranges.emplace_back(tensor.data, &name);
  std::ranges::stable_sort(ranges, {}, [](const auto& range) {
    return std::pair(range.first.data(), range.first.size());
  });
  const std::byte* end = data.data();
  for (const auto& [range, name] : ranges) {
    if (range.data() != end) {
      throw InputError(Place(where, *name), range.data() < end
                                                ? "overlaps another tensor"
                                                : "begins after bytes that belong to no tensor");
    }
    end += range.size();
  }
  if (end != data.data() + data.size()) {
    throw InputError(where, "ends with bytes that belong to no tensor");
  }
}

}  // namespace

SafetensorsContent ParseSafetensors(std::span<const std::byte> bytes, const std::string& where) {
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

  SafetensorsContent content;
  for (const auto& [name, json] : header.items()) {
    if (name == kMetadata) {
      content.metadata = ParseMetadata(json, Place(where, name));
    } else {
      content.tensors.emplace(name, ParseTensor(json, data, Place(where, name)));
    }
  }
  CheckCover(content.tensors, data, where);
  return content;
}

}  // namespace stint
