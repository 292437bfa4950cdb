#include "trainer/encoded_pictures.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <system_error>
#include <unordered_map>
#include <utility>

#include "files/safetensors.h"
#include "files/safetensors_writer.h"
#include "ir/errors.h"
#include "ir/file.h"
#include "ir/output_file.h"
#include "models/attention.h"
#include "models/component_weights.h"
#include "models/text_encoder.h"
#include "models/vae.h"
#include "trainer/buckets.h"

namespace stint {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kFingerprintBytes = 4096;  // Of each tensor.

/// The weights of one encoder, in memory as long as this lives.
class EncoderWeights {
 public:
  EncoderWeights(const EncodeRequest& request, const std::string& component,
                 const std::vector<WeightSpec>& specs) {
    for (const WeightSpec& spec : specs) {
      const at::Tensor value = at::empty(spec.sizes);
      request.weights.Load({.name = component + "." + spec.name, .role = BufferRole::kWeight},
                           value);
      tensors_[spec.name] = value.to(request.device);
    }
  }
  FindWeight Finder() const {
    return [this](const std::string& name) { return tensors_.at(name); };
  }

 private:
  std::unordered_map<std::string, at::Tensor> tensors_;
};

TensorSource SourceOfTensor(const std::string& name, const at::Tensor& value) {
  return SourceOf(
      name, {.dtype = Dtype::kF32,
             .sizes = value.sizes().vec(),
             .data = {static_cast<const std::byte*>(value.const_data_ptr()), value.nbytes()}});
}

at::Tensor OnHost(const at::Tensor& value) { return value.to(at::kCPU, at::kFloat).contiguous(); }

/// [3, height, width] in [-1, 1].
at::Tensor PixelsOf(const Image& image) {
  const at::Tensor bytes = at::empty({image.height_px, image.width_px, 3}, at::kByte);
  std::memcpy(bytes.mutable_data_ptr(), image.rgb.data(), image.rgb.size());
  return bytes.permute({2, 0, 1}).to(at::kFloat).div(127.5).sub(1).contiguous();
}

std::vector<float> TimeIds(const ImageSize& original, const ImageSize& size) {
  const Cut cut = CutFor(original, size);
  std::vector<float> time_ids;
  for (const std::int64_t number : {original.height_px, original.width_px, cut.top_px, cut.left_px,
                                    size.height_px, size.width_px}) {
    time_ids.push_back(static_cast<float>(number));
  }
  return time_ids;
}

std::string FingerprintOf(const std::vector<TensorSource>& weights) {
  std::map<std::string, std::string> by_name;
  for (const TensorSource& weight : weights) {
    std::string begin;
    weight.write([&](std::span<const std::byte> piece) {
      const std::size_t size = std::min(piece.size(), kFingerprintBytes - begin.size());
      begin.append(reinterpret_cast<const char*>(piece.data()), size);
    });
    std::string words = fmt::format("{} {}", SafetensorsName(weight.dtype), Sha256(begin));
    for (const std::int64_t size : weight.sizes) words += fmt::format(" {}", size);
    by_name[weight.name] = words;
  }
  std::string all;
  for (const auto& [name, words] : by_name) all += name + " " + words + "\n";
  return Sha256(all);
}

/// One data set on its way.
class Encoding {
 public:
  Encoding(const PictureFolder& folder, const EncodeRequest& request)
      : folder_(folder),
        request_(request),
        config_(request.config),
        attention_(FastestAttention(request.device, at::kFloat)) {
    std::error_code error;
    fs::create_directories(request.cache, error);
    if (error) {
      throw InputError(request.cache.string(), fmt::format("cannot be made ({})", error.message()));
    }
    RemoveAbandonedFiles(request.cache);
  }

  EncodedPictures Run() {
    const at::NoGradGuard no_grad;
    EncodeCaptions();
    EncodeLatents();
    std::string hashes;
    for (const EncodedPicture& picture : result_.pictures) {
      hashes +=
          picture.moments.filename().string() + "\n" + picture.caption.filename().string() + "\n";
    }
    KeepSizesInUse();
    result_.sha256 = Sha256(hashes);
    return std::move(result_);
  }

 private:
  void Tell(const std::string& what, std::size_t done_count, std::size_t total_count) const {
    if (request_.on_progress) request_.on_progress(what, done_count, total_count);
  }

  void EncodeCaptions() {
    std::string models = "stint caption 1\n";
    for (std::size_t i = 0; i < config_.text_encoders.size(); ++i) {
      models += request_.fingerprints.at(i == 0 ? "text_encoder" : "text_encoder_2") + "\n";
      // A tokenizer is known by what it makes of words.
      for (const std::int64_t id : request_.tokenizers[i].EncodePadded(
               "The quick brown fox, 0123456789!", config_.text_encoders[i].position_count,
               request_.tokenizers[i].pad_id())) {
        models += fmt::format("{} ", id);
      }
    }
    std::set<std::string> missing;
    for (const CaptionedPicture& picture : folder_.pictures) {
      const fs::path path = request_.cache / fmt::format("caption-{}.safetensors",
                                                         Sha256(models + "\n" + picture.caption));
      if (!fs::exists(path)) missing.insert(picture.caption);
      caption_files_[picture.caption] = path;
    }
    std::map<std::string, std::vector<at::Tensor>> states;
    std::map<std::string, at::Tensor> pooled;
    for (std::size_t i = 0; i < config_.text_encoders.size() && !missing.empty(); ++i) {
      RunTextEncoderOver(missing, i, states, pooled);
    }
    for (const std::string& caption : missing) {
      std::vector<TensorSource> tensors;
      const at::Tensor whole = at::cat(states.at(caption), -1).contiguous();
      tensors.push_back(SourceOfTensor("text_states", whole));
      if (config_.unet.HasAddition()) {
        tensors.push_back(SourceOfTensor("pooled_text", pooled.at(caption)));
      }
      WriteSafetensors(caption_files_.at(caption), std::move(tensors), {});
      ++result_.encoded_count;
    }
  }

  /// What encoder `index` says of each caption goes into `states`, as [tokens, size], and `pooled`.
  void RunTextEncoderOver(const std::set<std::string>& captions, std::size_t index,
                          std::map<std::string, std::vector<at::Tensor>>& states,
                          std::map<std::string, at::Tensor>& pooled) {
    const TextEncoderConfig& encoder = config_.text_encoders[index];
    const ClipTokenizer& tokenizer = request_.tokenizers[index];
    const EncoderWeights weights(request_, index == 0 ? "text_encoder" : "text_encoder_2",
                                 TextEncoderWeights(encoder));
    const TextEncoderOptions options = {
        .attention = attention_,
        .wants_last = !config_.HasPenultimateStates(),
        .wants_penultimate = config_.HasPenultimateStates(),
        .wants_pooled = index + 1 == config_.text_encoders.size() && config_.unet.HasAddition()};
    std::size_t done_count = 0;
    for (const std::string& caption : captions) {
      Tell("captions", done_count++, captions.size());
      const std::vector<std::int64_t> ids =
          tokenizer.EncodePadded(caption, encoder.position_count, tokenizer.pad_id());
      const at::Tensor token_ids = at::empty({1, encoder.position_count}, at::kLong);
      std::ranges::copy(ids, token_ids.mutable_data_ptr<std::int64_t>());
      const TextStates encoded =
          RunTextEncoder(encoder, options, weights.Finder(), token_ids.to(request_.device));
      states[caption].push_back(
          OnHost((options.wants_last ? encoded.last : encoded.penultimate)[0]));
      if (options.wants_pooled) pooled[caption] = OnHost(encoded.pooled[0]);
    }
  }

  void EncodeLatents() {
    std::optional<EncoderWeights> weights;  // In memory once the first is missing.
    for (const CaptionedPicture& picture : folder_.pictures) {
      Tell("pictures", result_.pictures.size() + result_.skipped.size(), folder_.pictures.size());
      const std::size_t bucket = NearestBucket(request_.sizes, picture.size);
      const ImageSize& size = request_.sizes[bucket];
      const std::string model =
          fmt::format("stint picture 1\n{}\n{}\n", request_.fingerprints.at("vae"), NameOf(size));
      const std::string content = Sha256(ReadText(picture.path));
      const fs::path path =
          request_.cache / fmt::format("picture-{}.safetensors", Sha256(model + content));
      if (!fs::exists(path)) {
        std::optional<Image> image = ReadOrSkip(picture.path);
        if (!image) continue;
        if (!weights) weights.emplace(request_, "vae", VaeEncoderWeights(config_.vae));
        const at::Tensor pixels = PixelsOf(CropToSize(*image, size));
        const at::Tensor moments =
            EncodePicture(config_.vae, VaeAttention(attention_), weights->Finder(),
                          pixels.unsqueeze(0).to(request_.device));
        const at::Tensor value = OnHost(moments[0]);
        WriteSafetensors(path, {SourceOfTensor("moments", value)}, {});
        ++result_.encoded_count;
      }
      result_.pictures.push_back({.moments = path,
                                  .caption = caption_files_.at(picture.caption),
                                  .time_ids = TimeIds(picture.size, size),
                                  .bucket = bucket});
    }
    if (result_.pictures.empty()) {
      throw InputError(result_.skipped.front(), "and so it is with every picture");
    }
  }

  /// From indices into the request's sizes to those of sizes that some picture has.
  void KeepSizesInUse() {
    std::map<std::size_t, std::size_t> indices;
    for (const EncodedPicture& picture : result_.pictures) indices[picture.bucket] = 0;
    for (auto& [bucket, index] : indices) {
      index = result_.sizes.size();
      result_.sizes.push_back(request_.sizes[bucket]);
    }
    for (EncodedPicture& picture : result_.pictures) picture.bucket = indices.at(picture.bucket);
  }

  std::optional<Image> ReadOrSkip(const fs::path& path) {
    try {
      return ReadImage(path);
    } catch (const InputError& error) {
      if (request_.bad_picture == BadPicture::kRefuse) throw;
      result_.skipped.emplace_back(error.what());
      return std::nullopt;
    }
  }

  const PictureFolder& folder_;
  const EncodeRequest& request_;
  const PipelineConfig& config_;
  AttentionKind attention_;
  std::map<std::string, fs::path> caption_files_{};
  EncodedPictures result_{};
};

}  // namespace

EncodedPictures EncodePictures(const PictureFolder& folder, const EncodeRequest& request) {
  return Encoding(folder, request).Run();
}

torch::Tensor ReadEncoded(const fs::path& path, const std::string& name) {
  const SafetensorsFile file(path);
  const auto found = file.tensors().find(name);
  if (found == file.tensors().end() || found->second.dtype != Dtype::kF32) {
    throw InputError(path.string() + ":" + name, "is not in the file as float32");
  }
  const at::Tensor value = at::empty(found->second.sizes);
  std::memcpy(value.mutable_data_ptr(), found->second.data.data(), value.nbytes());
  return value;
}

Fingerprints FingerprintsOf(const Checkpoint& checkpoint) {
  Fingerprints fingerprints;
  for (const auto& [part, weights] : checkpoint.components) {
    fingerprints[std::string(NameOf(part))] = FingerprintOf(weights);
  }
  return fingerprints;
}

}  // namespace stint
