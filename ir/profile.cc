#include "ir/profile.h"

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <string>

#include "ir/errors.h"
#include "ir/file.h"
#include "ir/quoted.h"
#include "ir/words.h"

namespace stint {
namespace {

struct DataType {
  const char* name = "";
  std::int64_t element_bytes = 0;
};
constexpr std::array<DataType, 17> kDataTypes = {{{"float32", 4},
                                                  {"bfloat16", 2},
                                                  {"float16", 2},
                                                  {"int64", 8},
                                                  {"int32", 4},
                                                  {"bool", 1},
                                                  {"float64", 8},
                                                  {"uint8", 1},
                                                  {"int8", 1},
                                                  {"int16", 2},
                                                  {"uint16", 2},
                                                  {"uint32", 4},
                                                  {"uint64", 8},
                                                  {"complex64", 8},
                                                  {"complex128", 16},
                                                  {"float8_e4m3fn", 1},
                                                  {"float8_e5m2", 1}}};

}  // namespace

const char* ToString(BufferRole role) { return WordOf(role); }
const char* ToString(DeviceKind kind) { return WordOf(kind); }

std::int64_t ElementBytes(const std::string& dtype, const std::string& where) {
  for (const DataType& known : kDataTypes) {
    if (dtype == known.name) return known.element_bytes;
  }
  throw InputError(where, "has the unknown dtype '" + Quoted(dtype) + "'");
}

std::string NameOf(const Profile& profile, BufferId id) {
  const std::string& name = profile.buffers[Index(id)].name;
  return name.empty() ? fmt::format("buffer {}", Index(id))
                      : fmt::format("buffer {} ({})", Index(id), Quoted(name));
}

Profile ReadProfile(const std::filesystem::path& path) {
  return ProfileFromJson(ReadText(path), path == "-" ? "standard input" : path.string());
}

void WriteProfile(const Profile& profile, const std::filesystem::path& path) {
  WriteText(path, ToJson(profile));
}

}  // namespace stint
