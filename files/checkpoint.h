// Opens a checkpoint of whatever layout and shows it in that of diffusers: components with named
// tensors. Nothing is read but headers until a tensor is asked for its bytes.
//
//     a folder          unet/diffusion_pytorch_model[.fp16].safetensors, or its index and shards;
//                       vae/..., text_encoder/model[.fp16].safetensors, text_encoder_2/...
//     a single file     of the original layout: turned, see files/key_mapping.h
//     a component       a file of one of the folders above
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "files/key_mapping.h"
#include "files/safetensors.h"
#include "files/safetensors_writer.h"
#include "files/tensor.h"

namespace stint {

enum class CheckpointLayout : std::uint8_t { kDiffusersFolder, kOriginalFile, kComponentFile };

struct Checkpoint {
  CheckpointLayout layout{};
  ModelFamily family{};
  /// Named as in diffusers. Their bytes are those of `files`.
  PartSources components{};
  std::vector<std::string> left_out{};  // See KeyMapping; of a single file.
  std::vector<std::unique_ptr<SafetensorsFile>> files{};
};

/// `variant`: "fp16" prefers "model.fp16.safetensors"; where a component has only the other, that
/// one is taken.
/// @throws InputError naming the file and the key; a pickle checkpoint is refused, with the reason.
Checkpoint OpenCheckpoint(const std::filesystem::path& path, const std::string& variant);

/// The tensors of all components of a diffusers folder; `files` receives what they lie in.
PartTensors ReadDiffusersFolder(const std::filesystem::path& folder, const std::string& variant,
                                std::vector<std::unique_ptr<SafetensorsFile>>& files);

/// Which component a file of diffusers' names is, if it is one.
std::optional<ModelPart> PartOf(const TensorMap& tensors);

/// Does the file begin like torch.save's, in its form of today or of old?
bool IsPickle(const std::filesystem::path& path);
/// Why such a file is refused where weights are expected.
std::string PickleRefusal();

/// Writes what an original single file would hold.
/// @throws InputError naming the file.
void WriteOriginal(const std::filesystem::path& path, const PartSources& parts,
                   const std::string& where);
/// Writes one file of weights (or shards) for each component into its folder under `folder`.
void WriteDiffusersFolder(const std::filesystem::path& folder, const PartSources& components,
                          std::int64_t max_shard_bytes);

}  // namespace stint
