#include <fmt/format.h>

#include <cstring>
#include <utility>

#include "files/key_mapping.h"
#include "ir/errors.h"
#include "ir/quoted.h"

namespace stint {
namespace {

/// Gives the columns of a matrix one after another, one buffer at a time.
void WriteTransposed(const TensorView& matrix, const ByteSink& sink) {
  const auto row_count = static_cast<std::size_t>(matrix.sizes[0]);
  const auto column_count = static_cast<std::size_t>(matrix.sizes[1]);
  const auto element_bytes = static_cast<std::size_t>(ElementBytes(matrix.dtype));
  std::vector<std::byte> column(row_count * element_bytes);
  for (std::size_t i = 0; i < column_count; ++i) {
    for (std::size_t j = 0; j < row_count; ++j) {
      std::memcpy(&column[j * element_bytes], &matrix.data[(j * column_count + i) * element_bytes],
                  element_bytes);
    }
    sink(column);
  }
}

/// The matrix is made when it is written, and only then in memory.
TensorSource Transposed(std::string name, const TensorSource& matrix, const std::string& where) {
  if (matrix.sizes.size() != 2) throw InputError(where, "is not a matrix");
  return {.name = std::move(name),
          .dtype = matrix.dtype,
          .sizes = {matrix.sizes[1], matrix.sizes[0]},
          .write = [matrix](const ByteSink& sink) {
            std::vector<std::byte> bytes;
            matrix.write([&](std::span<const std::byte> piece) {
              bytes.insert(bytes.end(), piece.begin(), piece.end());
            });
            WriteTransposed({matrix.dtype, matrix.sizes, bytes}, sink);
          }};
}

TensorView WithoutPixels(TensorView tensor, const std::string& where) {
  if (tensor.sizes.size() == 2) return tensor;  // Some converters write it as linear.
  while (tensor.sizes.size() > 2 && tensor.sizes.back() == 1) tensor.sizes.pop_back();
  if (tensor.sizes.size() != 2) throw InputError(where, "is not a 1x1 convolution");
  return tensor;
}

TensorSource WithPixels(TensorSource tensor, const std::string& where) {
  if (tensor.sizes.size() == 2) tensor.sizes.insert(tensor.sizes.end(), {1, 1});
  if (tensor.sizes.size() != 4) throw InputError(where, "is not a matrix");
  return tensor;
}

/// Part `index` of `count` equal parts of the rows.
TensorView Rows(TensorView tensor, std::size_t index, std::size_t count, const std::string& where) {
  if (tensor.sizes.empty() || tensor.sizes[0] % static_cast<std::int64_t>(count) != 0) {
    throw InputError(where, fmt::format("does not have {} equal parts", count));
  }
  tensor.sizes[0] /= static_cast<std::int64_t>(count);
  const std::size_t part_bytes = tensor.data.size() / count;
  tensor.data = tensor.data.subspan(index * part_bytes, part_bytes);
  return tensor;
}

/// The rows of several tensors one after another.
TensorSource Fused(const std::vector<TensorSource>& parts, const std::string& where) {
  TensorSource source = {.dtype = parts[0].dtype, .sizes = parts[0].sizes};
  for (const TensorSource& part : parts) {
    if (part.dtype != source.dtype || part.sizes != parts[0].sizes || part.sizes.empty()) {
      throw InputError(where, "differs from its neighbours in dtype or sizes");
    }
  }
  source.sizes[0] *= static_cast<std::int64_t>(parts.size());
  source.write = [parts](const ByteSink& sink) {
    for (const TensorSource& part : parts) part.write(sink);
  };
  return source;
}

void AddTwins(const MappedKey& key, const TensorView& tensor, const std::string& where,
              std::vector<TensorSource>& sources) {
  const std::vector<std::string>& names = key.twin.diffusers;
  switch (key.twin.change) {
    case KeyChange::kNone:
      sources.push_back(SourceOf(names[0], tensor));
      return;
    case KeyChange::kPointwise:
      sources.push_back(SourceOf(names[0], WithoutPixels(tensor, where)));
      return;
    case KeyChange::kTransposed:
      sources.push_back(Transposed(names[0], SourceOf(names[0], tensor), where));
      return;
    case KeyChange::kFused:
      for (std::size_t i = 0; i < names.size(); ++i) {
        sources.push_back(SourceOf(names[i], Rows(tensor, i, names.size(), where)));
      }
      return;
  }
}

TensorSource OriginalOf(const MappedKey& key, const std::vector<TensorSource>& twins,
                        const std::string& where) {
  switch (key.twin.change) {
    case KeyChange::kNone:
      break;
    case KeyChange::kPointwise:
      return WithPixels(twins[0], where);
    case KeyChange::kTransposed:
      return Transposed(key.original, twins[0], where);
    case KeyChange::kFused:
      return Fused(twins, where);
  }
  return twins[0];
}

}  // namespace

PartSources ToDiffusers(const TensorMap& tensors, const KeyMapping& mapping,
                        const std::string& where) {
  PartSources components;
  for (const MappedKey& key : mapping.keys) {
    AddTwins(key, tensors.at(key.original), where + ":" + Quoted(key.original),
             components[key.component]);
  }
  return components;
}

std::vector<TensorSource> ToOriginal(const PartSources& parts, const KeyMapping& mapping,
                                     const std::string& where) {
  std::map<ModelPart, std::map<std::string_view, const TensorSource*>> by_name;
  for (const auto& [part, sources] : parts) {
    for (const TensorSource& source : sources) by_name[part][source.name] = &source;
  }
  std::vector<TensorSource> originals;
  for (const MappedKey& key : mapping.keys) {
    const std::string folder = fmt::format("{}/{}:", where, NameOf(key.component));
    std::vector<TensorSource> twins;
    for (const std::string& name : key.twin.diffusers) {
      const auto found = by_name[key.component].find(name);
      if (found == by_name[key.component].end()) {
        throw InputError(folder + Quoted(name), "is missing");
      }
      twins.push_back(*found->second);
    }
    originals.push_back(OriginalOf(key, twins, folder + Quoted(key.twin.diffusers[0])));
    originals.back().name = key.original;
  }
  return originals;
}

PartSources SourcesOf(const PartTensors& parts) {
  PartSources sources;
  for (const auto& [part, tensors] : parts) {
    for (const auto& [name, tensor] : tensors) {
      if (name.ends_with("position_ids")) continue;  // A constant that older files carry.
      sources[part].push_back(SourceOf(name, tensor));
    }
  }
  return sources;
}

PartTensors OutlineOf(const PartSources& parts) {
  PartTensors outline;
  for (const auto& [part, sources] : parts) {
    for (const TensorSource& source : sources) {
      outline[part][source.name] = {.dtype = source.dtype, .sizes = source.sizes};
    }
  }
  return outline;
}

}  // namespace stint
