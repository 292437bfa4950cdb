// The tensors of the real models, by diffusers' names, with sizes so small that whole checkpoints
// fit into a test. Written down apart from files/key_table.h, which is tested with it.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "files/key_mapping.h"
#include "ir/errors.h"

namespace stint {

/// Tensors that own their bytes, which are random.
class SmallTensors {
 public:
  explicit SmallTensors(std::uint32_t seed) : random_(seed) {}

  TensorView Make(std::vector<std::int64_t> sizes) {
    std::vector<std::byte>& bytes =
        bytes_.emplace_back(static_cast<std::size_t>(ByteCount(Dtype::kBf16, sizes)));
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random_() % 256);
    return {.dtype = Dtype::kBf16, .sizes = std::move(sizes), .data = bytes};
  }
  /// The bytes of a source, kept.
  TensorView Keep(const TensorSource& source) {
    std::vector<std::byte>& bytes = bytes_.emplace_back();
    source.write([&](std::span<const std::byte> piece) {
      bytes.insert(bytes.end(), piece.begin(), piece.end());
    });
    return {.dtype = source.dtype, .sizes = source.sizes, .data = bytes};
  }
  TensorMap Keep(const std::vector<TensorSource>& sources) {
    TensorMap tensors;
    for (const TensorSource& source : sources) {
      Check(tensors.emplace(source.name, Keep(source)).second, "a name comes once");
    }
    return tensors;
  }

 private:
  std::mt19937 random_;
  std::deque<std::vector<std::byte>> bytes_{};
};

/// Names of one model, then tensors for them.
class NameList {
 public:
  NameList(SmallTensors& values, TensorMap& tensors) : values_(values), tensors_(tensors) {}

  void Add(const std::string& name, std::vector<std::int64_t> sizes) {
    tensors_[name] = values_.Make(std::move(sizes));
  }
  void Convolution(const std::string& module, std::int64_t kernel = 3) {
    Add(module + ".weight", {2, 2, kernel, kernel});
    Add(module + ".bias", {2});
  }
  void Linear(const std::string& module, bool has_bias = true) {
    Add(module + ".weight", {2, 3});
    if (has_bias) Add(module + ".bias", {2});
  }
  void Norm(const std::string& module) {
    Add(module + ".weight", {2});
    Add(module + ".bias", {2});
  }
  void Resnet(const std::string& module, bool has_time, bool has_shortcut) {
    Norm(module + ".norm1");
    Convolution(module + ".conv1");
    if (has_time) Linear(module + ".time_emb_proj");
    Norm(module + ".norm2");
    Convolution(module + ".conv2");
    if (has_shortcut) Convolution(module + ".conv_shortcut", 1);
  }
  void Transformer(const std::string& module, bool is_linear, int depth) {
    Norm(module + ".norm");
    for (const std::string end : {".proj_in", ".proj_out"}) {
      is_linear ? Linear(module + end) : Convolution(module + end, 1);
    }
    for (int k = 0; k < depth; ++k) {
      const std::string block = module + ".transformer_blocks." + std::to_string(k);
      for (const std::string n : {"1", "2", "3"}) Norm(block + ".norm" + n);
      for (const std::string attention : {".attn1", ".attn2"}) {
        for (const std::string q : {".to_q", ".to_k", ".to_v"})
          Linear(block + attention + q, false);
        Linear(block + attention + ".to_out.0");
      }
      Linear(block + ".ff.net.0.proj");
      Linear(block + ".ff.net.2");
    }
  }

 private:
  SmallTensors& values_;
  TensorMap& tensors_;
};

/// `depths`: transformer blocks of each attention, by level from the highest resolution; 0 for
/// none.
inline TensorMap UnetTensors(SmallTensors& values, const std::vector<int>& depths, int middle_depth,
                             bool is_linear, bool is_sdxl, const std::vector<int>& widths) {
  TensorMap tensors;
  NameList list(values, tensors);
  list.Convolution("conv_in");
  list.Linear("time_embedding.linear_1");
  list.Linear("time_embedding.linear_2");
  if (is_sdxl) list.Linear("add_embedding.linear_1");
  if (is_sdxl) list.Linear("add_embedding.linear_2");
  const std::size_t level_count = depths.size();
  for (std::size_t i = 0; i < level_count; ++i) {
    const std::string down = "down_blocks." + std::to_string(i);
    const std::string up = "up_blocks." + std::to_string(level_count - 1 - i);
    for (int j = 0; j < 3; ++j) {
      const std::string n = "." + std::to_string(j);
      if (j < 2)
        list.Resnet(down + ".resnets" + n, true, j == 0 && i > 0 && widths[i] != widths[i - 1]);
      list.Resnet(up + ".resnets" + n, true, true);  // Of a skip and what came before.
      if (depths[i] == 0) continue;
      if (j < 2) list.Transformer(down + ".attentions" + n, is_linear, depths[i]);
      list.Transformer(up + ".attentions" + n, is_linear, depths[i]);
    }
    if (i + 1 < level_count) list.Convolution(down + ".downsamplers.0.conv");
    if (i > 0) list.Convolution(up + ".upsamplers.0.conv");
  }
  list.Resnet("mid_block.resnets.0", true, false);
  list.Transformer("mid_block.attentions.0", is_linear, middle_depth);
  list.Resnet("mid_block.resnets.1", true, false);
  list.Norm("conv_norm_out");
  list.Convolution("conv_out");
  return tensors;
}

inline TensorMap VaeTensors(SmallTensors& values) {
  TensorMap tensors;
  NameList list(values, tensors);
  const std::vector<int> widths = {128, 256, 512, 512};
  for (const std::string half : {"encoder", "decoder"}) {
    const bool is_encoder = half == "encoder";
    list.Convolution(half + ".conv_in");
    for (std::size_t i = 0; i < 4; ++i) {
      const std::string block =
          half + (is_encoder ? ".down_blocks." : ".up_blocks.") + std::to_string(i);
      // Widths on the way: down 128 256 512 512, up 512 512 256 128.
      const std::size_t level = is_encoder ? i : 3 - i;
      const int before = is_encoder ? widths[i == 0 ? 0 : i - 1] : widths[i == 0 ? 3 : level + 1];
      for (int j = 0; j < (is_encoder ? 2 : 3); ++j) {
        list.Resnet(block + ".resnets." + std::to_string(j), false,
                    j == 0 && before != widths[level]);
      }
      if (i < 3) {
        list.Convolution(block + (is_encoder ? ".downsamplers.0.conv" : ".upsamplers.0.conv"));
      }
    }
    list.Resnet(half + ".mid_block.resnets.0", false, false);
    list.Norm(half + ".mid_block.attentions.0.group_norm");
    for (const std::string q : {"to_q", "to_k", "to_v", "to_out.0"}) {
      list.Linear(half + ".mid_block.attentions.0." + q);
    }
    list.Resnet(half + ".mid_block.resnets.1", false, false);
    list.Norm(half + ".conv_norm_out");
    list.Convolution(half + ".conv_out");
  }
  list.Convolution("quant_conv", 1);
  list.Convolution("post_quant_conv", 1);
  return tensors;
}

inline TensorMap TextTensors(SmallTensors& values, int layer_count, bool has_projection) {
  TensorMap tensors;
  NameList list(values, tensors);
  list.Add("text_model.embeddings.token_embedding.weight", {4, 2});
  list.Add("text_model.embeddings.position_embedding.weight", {3, 2});
  for (int i = 0; i < layer_count; ++i) {
    const std::string layer = "text_model.encoder.layers." + std::to_string(i);
    list.Norm(layer + ".layer_norm1");
    list.Norm(layer + ".layer_norm2");
    for (const std::string q : {"q_proj", "k_proj", "v_proj", "out_proj"}) {
      list.Linear(layer + ".self_attn." + q);
    }
    list.Linear(layer + ".mlp.fc1");
    list.Linear(layer + ".mlp.fc2");
  }
  list.Norm("text_model.final_layer_norm");
  if (has_projection) list.Linear("text_projection", false);
  return tensors;
}

inline PartTensors Sd15Tensors(SmallTensors& values) {
  return {{ModelPart::kUnet,
           UnetTensors(values, {1, 1, 1, 0}, 1, false, false, {320, 640, 1280, 1280})},
          {ModelPart::kVae, VaeTensors(values)},
          {ModelPart::kTextEncoder, TextTensors(values, 12, false)}};
}
inline PartTensors Sd21Tensors(SmallTensors& values) {
  return {
      {ModelPart::kUnet, UnetTensors(values, {1, 1, 1, 0}, 1, true, false, {320, 640, 1280, 1280})},
      {ModelPart::kVae, VaeTensors(values)},
      {ModelPart::kTextEncoder, TextTensors(values, 23, false)}};
}
inline PartTensors SdxlTensors(SmallTensors& values) {
  return {{ModelPart::kUnet, UnetTensors(values, {0, 2, 10}, 10, true, true, {320, 640, 1280})},
          {ModelPart::kVae, VaeTensors(values)},
          {ModelPart::kTextEncoder, TextTensors(values, 12, false)},
          {ModelPart::kTextEncoder2, TextTensors(values, 32, true)}};
}

}  // namespace stint
