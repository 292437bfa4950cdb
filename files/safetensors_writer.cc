#include "files/safetensors_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "ir/errors.h"
#include "ir/file.h"
#include "ir/output_file.h"
#include "ir/quoted.h"

namespace stint {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kAlignmentBytes = 8;  // Of the data, by spaces that end the header.

std::string HeaderText(const std::vector<TensorSource>& tensors, const Metadata& metadata,
                       const std::string& where) {
  Json header = Json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::int64_t end = 0;
  std::set<std::string> names;
  for (const TensorSource& tensor : tensors) {
    if (!names.insert(tensor.name).second) {
      throw InputError(
          where, fmt::format("would hold two tensors of the name \"{}\"", Quoted(tensor.name)));
    }
    const std::int64_t begin = std::exchange(end, end + ByteCount(tensor.dtype, tensor.sizes));
    // Pushed, not assigned: an ordered object looks through all of its keys at each [].
    header.get_ref<Json::object_t&>().push_back(
        {tensor.name, Json{{"dtype", SafetensorsName(tensor.dtype)},
                           {"shape", tensor.sizes},
                           {"data_offsets", {begin, end}}}});
  }
  std::string text = header.dump(-1, ' ', false, Json::error_handler_t::replace);
  while (text.size() % kAlignmentBytes != 0) text += ' ';
  return text;
}

std::string LittleEndian(std::uint64_t number) {
  std::string bytes;
  for (int shift = 0; shift < 64; shift += 8) bytes += static_cast<char>(number >> shift & 0xff);
  return bytes;
}

}  // namespace

void WriteSafetensors(const std::filesystem::path& path, std::vector<TensorSource> tensors,
                      const Metadata& metadata) {
  std::ranges::stable_sort(tensors, std::ranges::greater(),
                           [](const TensorSource& tensor) { return ElementBytes(tensor.dtype); });
  const std::string header = HeaderText(tensors, metadata, path.string());
  OutputFile file(path);
  file.Append(LittleEndian(header.size()));
  file.Append(header);
  for (const TensorSource& tensor : tensors) {
    const std::int64_t end = file.size_bytes() + ByteCount(tensor.dtype, tensor.sizes);
    tensor.write([&](std::span<const std::byte> bytes) { file.Append(bytes); });
    Check(file.size_bytes() == end, "a source gives as many bytes as its sizes say");
  }
  file.Commit();
}

void WriteShards(const std::filesystem::path& folder, const std::string& stem,
                 const std::vector<TensorSource>& tensors, const Metadata& metadata,
                 std::int64_t max_shard_bytes) {
  std::vector<std::vector<TensorSource>> shards(1);
  std::int64_t total_bytes = 0, shard_bytes = 0;
  for (const TensorSource& tensor : tensors) {
    const std::int64_t size_bytes = ByteCount(tensor.dtype, tensor.sizes);
    if (!shards.back().empty() && size_bytes > max_shard_bytes - shard_bytes) {
      shards.emplace_back();
      shard_bytes = 0;
    }
    shards.back().push_back(tensor);
    shard_bytes += size_bytes;
    total_bytes += size_bytes;
  }
  if (shards.size() == 1) {
    return WriteSafetensors(folder / (stem + ".safetensors"), std::move(shards[0]), metadata);
  }
  std::map<std::string, std::string> shard_of;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    const std::string name =
        fmt::format("{}-{:05}-of-{:05}.safetensors", stem, i + 1, shards.size());
    for (const TensorSource& tensor : shards[i]) shard_of[tensor.name] = name;
    WriteSafetensors(folder / name, std::move(shards[i]), metadata);
  }
  const Json index = {{"metadata", {{"total_size", total_bytes}}}, {"weight_map", shard_of}};
  WriteText(folder / (stem + ".safetensors.index.json"), index.dump(2) + "\n");
}

}  // namespace stint
