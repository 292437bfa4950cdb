// How the two layouts of a Stable Diffusion checkpoint name the same module: that of diffusers, and
// the original one of a single file. Tables, made for the counts of blocks and layers at hand; the
// models themselves are not known here, so a tiny one is named like a real one.
//
//     original                    diffusers
//     input_blocks.1.0.in_layers.0    down_blocks.0.resnets.0.norm1
//     input_blocks.1.1                down_blocks.0.attentions.0
//     input_blocks.3.0.op             down_blocks.0.downsamplers.0.conv
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stint {

/// What else than its name differs between the layouts.
enum class KeyChange : std::uint8_t {
  kNone,
  kPointwise,   // The original is a 1x1 convolution [out, in, 1, 1], diffusers' linear [out, in].
  kFused,       // The original holds the rows of several of diffusers' tensors, one after another.
  kTransposed,  // A matrix, the other way round.
};

/// What one original name is in diffusers.
struct KeyTwin {
  std::vector<std::string> diffusers{};  // Several where change is kFused.
  KeyChange change{};
};

class KeyTable {
 public:
  /// All weights of a module, or of the modules in it that have no row of their own.
  void Module(const std::string& original, const std::string& diffusers,
              KeyChange change = KeyChange::kNone);
  /// One tensor.
  void Tensor(const std::string& original, KeyTwin twin) { tensors_[original] = std::move(twin); }

  /// Nothing if no row knows `original`.
  std::optional<KeyTwin> FindTwin(std::string_view original) const;
  /// The original name of one of diffusers', and its twin. Nothing if no row knows it.
  std::optional<std::pair<std::string, KeyTwin>> FindOriginal(std::string_view diffusers) const;

 private:
  struct Row {
    std::string name{};  // In the other layout.
    KeyChange change{};
  };

  std::map<std::string, Row, std::less<>> to_diffusers_{};
  std::map<std::string, Row, std::less<>> to_original_{};
  std::map<std::string, KeyTwin, std::less<>> tensors_{};
};

/// One resolution of a UNet, on the way down or up.
struct UnetLevel {
  std::int64_t resnet_count = 0;
  bool has_attention = false;  // After each of its resnets.
};

struct UnetLevels {
  std::vector<UnetLevel> down{};
  std::vector<UnetLevel> up{};  // From the lowest resolution.
};

KeyTable UnetKeys(const UnetLevels& levels);
KeyTable VaeKeys(std::int64_t level_count, std::int64_t layer_count);
/// CLIP ViT-L/14: the layouts do not differ.
KeyTable ClipKeys();
KeyTable OpenClipKeys(std::int64_t layer_count, bool has_projection);

/// The levels of a UNet that has these names.
UnetLevels LevelsOfOriginal(const std::vector<std::string_view>& names);
UnetLevels LevelsOfDiffusers(const std::vector<std::string_view>& names);

/// One more than the largest n of names that begin with "<prefix>n."; 0 if there are none.
std::int64_t CountNumbered(const std::vector<std::string_view>& names, std::string_view prefix);

}  // namespace stint
