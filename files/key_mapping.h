// Checkpoints of Stable Diffusion from one layout to the other: which tensor of a single file is
// which tensor of which component in diffusers, and how its bytes change. Knows no numbers of
// layers and channels: those follow from the names and sizes that are there.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "files/key_table.h"
#include "files/tensor.h"

namespace stint {

enum class ModelFamily : std::uint8_t { kSd1, kSd2, kSdxl };
std::string_view NameOf(ModelFamily family);  // "SD 1.x", "SD 2.x", "SDXL".

/// A folder of a diffusers checkpoint that holds weights.
enum class ModelPart : std::uint8_t { kUnet, kVae, kTextEncoder, kTextEncoder2 };
inline constexpr std::array<ModelPart, 4> kModelParts = {
    ModelPart::kUnet, ModelPart::kVae, ModelPart::kTextEncoder, ModelPart::kTextEncoder2};
std::string_view NameOf(ModelPart component);  // "unet", "text_encoder_2": the folder's name.

using TensorMap = std::map<std::string, TensorView>;
using PartTensors = std::map<ModelPart, TensorMap>;
using PartSources = std::map<ModelPart, std::vector<TensorSource>>;

/// One tensor of the original layout and what it is in diffusers'.
struct MappedKey {
  std::string original{};
  ModelPart component{};
  KeyTwin twin{};
};

struct KeyMapping {
  ModelFamily family{};
  std::vector<MappedKey> keys{};
  std::vector<std::string> left_out{};  // Original keys that diffusers does not have: averaged
                                        // weights, constants of the schedule, an unused last block.
};

/// The family that the names and sizes of an original checkpoint belong to.
/// @throws InputError naming `where` and, if it is known, what the file is instead.
ModelFamily DetectOriginal(const TensorMap& tensors, const std::string& where);
/// Likewise by the UNet; without one by the text encoders.
ModelFamily DetectDiffusers(const PartTensors& components, const std::string& where);

/// @throws InputError naming a key of a component that no such component has.
KeyMapping MapOriginal(const TensorMap& tensors, const std::string& where);
KeyMapping MapDiffusers(const PartTensors& components, const std::string& where);

/// The tensors of the original layout as those of diffusers; their bytes are those of `tensors`,
/// which must outlive the result.
/// @throws InputError naming a tensor whose sizes are not those of its kind.
PartSources ToDiffusers(const TensorMap& tensors, const KeyMapping& mapping,
                        const std::string& where);
/// And back; in the memory of one tensor at most.
std::vector<TensorSource> ToOriginal(const PartSources& parts, const KeyMapping& mapping,
                                     const std::string& where);

/// Tensors that are there as tensors to be written; they must outlive the result.
PartSources SourcesOf(const PartTensors& parts);
/// Names, dtypes and sizes, without the bytes: enough for MapDiffusers.
PartTensors OutlineOf(const PartSources& parts);

/// diffusers named the attention of the VAE otherwise once ("query", "proj_attn"), and checkpoints
/// of that time are in use: the name of today.
std::string ModernVaeKey(const std::string& key);

}  // namespace stint
