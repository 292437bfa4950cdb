// Writes .safetensors files tensor by tensor: what is not asked for yet need not exist yet, so a
// file of any size is written in the memory of one piece. See files/safetensors.h for the format.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "files/tensor.h"

namespace stint {

using Metadata = std::map<std::string, std::string>;

/// Writes whole or not at all (ir/output_file.h). Tensors of wider elements come first, so that all
/// are aligned to their elements; apart from this they keep their order. Equal input, equal bytes.
/// @throws InputError naming `path` if it cannot be written, or two tensors have one name.
void WriteSafetensors(const std::filesystem::path& path, std::vector<TensorSource> tensors,
                      const Metadata& metadata);

/// Writes "<stem>.safetensors" into `folder`; or, when that would hold more than `max_shard_bytes`
/// of tensors, "<stem>-00001-of-00003.safetensors", ... and "<stem>.safetensors.index.json" last.
/// A shard holds one tensor at least.
/// @throws InputError as above.
void WriteShards(const std::filesystem::path& folder, const std::string& stem,
                 const std::vector<TensorSource>& tensors, const Metadata& metadata,
                 std::int64_t max_shard_bytes);

}  // namespace stint
