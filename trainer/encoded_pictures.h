// The pictures of a data set as the UNet sees them: latents and text states, made once and kept on
// disk, since neither autoencoder nor text encoders are trained.
//
//     <cache>/picture-<hash>.safetensors   moments             of the picture's bytes, the size
//                                                              and the autoencoder
//     <cache>/caption-<hash>.safetensors   text_states,        of the caption and the text encoders
//                                          [pooled_text]
//
// A file has its name once it is whole, so a run that is killed while it encodes goes on from
// there.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "files/checkpoint.h"
#include "files/image.h"
#include "files/picture_folder.h"
#include "models/pipeline_config.h"
#include "models/tokenizer.h"
#include "models/workload.h"

namespace stint {

/// Of the weights of a model, by component: names, dtypes, sizes, and the beginning of each
/// tensor's numbers, which is enough to tell models apart and little to read.
using Fingerprints = std::map<std::string, std::string>;
Fingerprints FingerprintsOf(const Checkpoint& checkpoint);

struct EncodeRequest {
  const PipelineConfig& config;
  const std::vector<ClipTokenizer>& tokenizers;
  const Fingerprints& fingerprints;
  const ValueSource& weights;  // As MakeCheckpointWeights has them.
  torch::Device device;
  std::vector<ImageSize> sizes{};  // Each picture is scaled and cut to the nearest of them.
  std::filesystem::path cache{};   // Made if need be.
  BadPicture bad_picture{};        // What to do with a picture whose bytes are damaged.
  /// What is encoded, how many of these are done and how many there are; may be empty. May throw.
  std::function<void(const std::string& what, std::size_t done_count, std::size_t total_count)>
      on_progress{};
};

struct EncodedPicture {
  std::filesystem::path moments{};  // File of the cache.
  std::filesystem::path caption{};  // The same.
  /// What SDXL is told: original height and width, top and left of the cut, height and width now.
  std::vector<float> time_ids{};
  std::size_t bucket = 0;  // Index of its size.
};

struct EncodedPictures {
  std::vector<EncodedPicture> pictures{};  // In the folder's order.
  std::vector<ImageSize> sizes{};          // Those that pictures have, in the request's order.
  std::vector<std::string> skipped{};      // One line for each that was left out: why.
  std::string sha256{};                    // Of all that decides them.
  std::size_t encoded_count = 0;           // Files that the cache did not have.
};

/// Everything in float32, one picture or caption at a time, and one encoder in memory at a time.
/// @throws InputError naming a picture that is damaged, unless those are skipped and some are left;
/// a caption that is no UTF-8, or the file that cannot be written.
EncodedPictures EncodePictures(const PictureFolder& folder, const EncodeRequest& request);

/// A tensor of a file of the cache, float32.
/// @throws InputError naming the file if it is gone or damaged.
torch::Tensor ReadEncoded(const std::filesystem::path& path, const std::string& name);

}  // namespace stint
