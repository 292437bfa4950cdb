#include "files/safetensors_index.h"

#include <utility>

#include "ir/json_reader.h"

namespace stint {

std::map<std::string, std::string> ParseSafetensorsIndex(std::string_view text,
                                                         const std::string& where) {
  std::map<std::string, std::string> shard_of;
  bool has_map = false;
  JsonReader json(text, where);
  json.Object([&](std::string_view key) {
    if (key != "weight_map") return json.Skip();
    if (std::exchange(has_map, true)) json.Fail("is there twice");
    json.Object([&](std::string_view name) {
      if (json.Peek() != JsonKind::kString) json.Fail("is not the name of a file");
      const std::string file = json.String();
      if (file.empty() || file.starts_with('.') || file.find('/') != std::string::npos) {
        json.Fail("is not the name of a file beside the index");
      }
      if (!shard_of.emplace(name, file).second) json.Fail("is there twice");
    });
  });
  if (!has_map) json.Fail("has no weight_map");
  return shard_of;
}

}  // namespace stint
