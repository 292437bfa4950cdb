// Low-rank adapters (LoRA) in files: for a module of weight W, matrices down [rank, in] and
// up [out, rank]; adapted, it is W + alpha / rank * up * down. Two styles name them:
//
//     PEFT     unet.down_blocks.0.attentions.0...attn1.to_q.lora_A.weight        down
//              unet.down_blocks.0.attentions.0...attn1.to_q.lora_B.weight        up
//     kohya    lora_unet_down_blocks_0_attentions_0_..._attn1_to_q.lora_down.weight
//              lora_unet_down_blocks_0_attentions_0_..._attn1_to_q.lora_up.weight
//              lora_unet_down_blocks_0_attentions_0_..._attn1_to_q.alpha         one number
//
// kohya's names have lost their dots, and for SDXL they are often those of the original layout:
// only the names of the base model's modules tell what they mean.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "files/key_mapping.h"
#include "files/safetensors_writer.h"
#include "files/tensor.h"

namespace stint {

enum class LoraStyle : std::uint8_t { kPeft, kKohya };
std::string_view NameOf(LoraStyle style);

/// The adapter of one module, still under the file's name for it.
struct LoraPair {
  std::string name{};  // "unet.mid_block...to_q" or "lora_unet_mid_block_..._to_q".
  TensorView down{};   // [rank, in]; of a convolution [rank, in, height, width].
  TensorView up{};     // [out, rank]; of a convolution [out, rank, 1, 1].
  double alpha = 0;    // The rank where the file says nothing.
  std::int64_t rank() const { return down.sizes[0]; }
};

struct LoraFile {
  LoraStyle style{};
  std::vector<LoraPair> pairs{};  // By name.
};

/// Nothing if no tensor of `tensors` is an adapter's.
/// @throws InputError naming the key of an adapter that lacks its other half, or does not fit it.
std::optional<LoraFile> ParseLora(const TensorMap& tensors, const Metadata& metadata,
                                  const std::string& where);

/// The adapter of one module of the base model.
struct LoraModule {
  ModelPart component{};
  std::string module{};  // In diffusers' words, without ".weight".
  LoraPair pair{};
};

/// The modules that adapters can be for: names and sizes of the base model's weights by component.
using BaseWeights = std::map<ModelPart, std::map<std::string, std::vector<std::int64_t>>>;

/// The base module of each adapter.
/// @throws InputError naming an adapter whose module the base does not have, or has in other sizes.
std::vector<LoraModule> ResolveLora(const LoraFile& lora, const BaseWeights& base,
                                    ModelFamily family, const std::string& where);

/// What a file of that style holds. The tensors' bytes must outlive the result.
std::vector<TensorSource> LoraTensors(const std::vector<LoraModule>& modules, LoraStyle style,
                                      ModelFamily family);
/// What its metadata say: the alphas in PEFT's style.
Metadata LoraMetadata(const std::vector<LoraModule>& modules, LoraStyle style);

}  // namespace stint
