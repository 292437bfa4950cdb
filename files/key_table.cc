#include "files/key_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <set>
#include <utility>

namespace stint {
namespace {

using Names = std::vector<std::string_view>;
using Pair = std::pair<std::string_view, std::string_view>;

constexpr std::int64_t kMaxNumber = 1000;  // Of blocks and layers: names are not trusted.

constexpr std::array<Pair, 6> kResnetParts = {{{"in_layers.0", "norm1"},
                                               {"in_layers.2", "conv1"},
                                               {"emb_layers.1", "time_emb_proj"},
                                               {"out_layers.0", "norm2"},
                                               {"out_layers.3", "conv2"},
                                               {"skip_connection", "conv_shortcut"}}};

constexpr std::array<Pair, 8> kUnetEnds = {{{"time_embed.0", "time_embedding.linear_1"},
                                            {"time_embed.2", "time_embedding.linear_2"},
                                            {"label_emb.0.0", "add_embedding.linear_1"},
                                            {"label_emb.0.2", "add_embedding.linear_2"},
                                            {"input_blocks.0.0", "conv_in"},
                                            {"middle_block.1", "mid_block.attentions.0"},
                                            {"out.0", "conv_norm_out"},
                                            {"out.2", "conv_out"}}};

constexpr std::array<Pair, 4> kVaeAttentionParts = {
    {{"q", "to_q"}, {"k", "to_k"}, {"v", "to_v"}, {"proj_out", "to_out.0"}}};

constexpr std::array<Pair, 5> kOpenClipParts = {{{"ln_1", "layer_norm1"},
                                                 {"ln_2", "layer_norm2"},
                                                 {"mlp.c_fc", "mlp.fc1"},
                                                 {"mlp.c_proj", "mlp.fc2"},
                                                 {"attn.out_proj", "self_attn.out_proj"}}};

void AddResnet(KeyTable& table, const std::string& original, const std::string& diffusers) {
  for (const auto& [from, to] : kResnetParts) {
    table.Module(fmt::format("{}.{}", original, from), fmt::format("{}.{}", diffusers, to));
  }
}

void AddVaeResnet(KeyTable& table, const std::string& original, const std::string& diffusers) {
  table.Module(original, diffusers);
  table.Module(original + ".nin_shortcut", diffusers + ".conv_shortcut");
}

void AddVaeMiddle(KeyTable& table, const std::string& half) {
  AddVaeResnet(table, half + ".mid.block_1", half + ".mid_block.resnets.0");
  AddVaeResnet(table, half + ".mid.block_2", half + ".mid_block.resnets.1");
  const std::string original = half + ".mid.attn_1.";
  const std::string diffusers = half + ".mid_block.attentions.0.";
  table.Module(original + "norm", diffusers + "group_norm");
  for (const auto& [from, to] : kVaeAttentionParts) {
    table.Module(original + std::string(from), diffusers + std::string(to), KeyChange::kPointwise);
  }
}

/// n of "<prefix>n." or "<prefix>n"; -1 for other names.
std::int64_t NumberAfter(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return -1;
  name.remove_prefix(prefix.size());
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  const bool ends = end == name.data() + name.size() || *end == '.';
  return error == std::errc() && ends && number >= 0 && number < kMaxNumber ? number : -1;
}

bool HasPrefix(const Names& names, const std::string& prefix) {
  return std::ranges::any_of(names,
                             [&](std::string_view name) { return name.starts_with(prefix); });
}

}  // namespace

void KeyTable::Module(const std::string& original, const std::string& diffusers, KeyChange change) {
  to_diffusers_[original] = {diffusers, change};
  to_original_[diffusers] = {original, change};
}

namespace {

/// The row of the innermost module that `name` lies in, with the rest of the name.
template <typename Rows>
auto FindInnermost(const Rows& rows, std::string_view name) {
  for (std::size_t dot = name.rfind('.'); dot != std::string_view::npos;
       dot = dot == 0 ? std::string_view::npos : name.rfind('.', dot - 1)) {
    const auto found = rows.find(name.substr(0, dot));
    if (found != rows.end()) return std::pair(found, name.substr(dot));
  }
  return std::pair(rows.end(), std::string_view());
}

/// Only matrices differ: a bias is a bias.
KeyChange ChangeOf(KeyChange change, std::string_view rest) {
  return rest == ".weight" ? change : KeyChange::kNone;
}

}  // namespace

std::optional<KeyTwin> KeyTable::FindTwin(std::string_view original) const {
  if (const auto tensor = tensors_.find(original); tensor != tensors_.end()) return tensor->second;
  const auto [row, rest] = FindInnermost(to_diffusers_, original);
  if (row == to_diffusers_.end()) return std::nullopt;
  return KeyTwin{{row->second.name + std::string(rest)}, ChangeOf(row->second.change, rest)};
}

std::optional<std::pair<std::string, KeyTwin>> KeyTable::FindOriginal(
    std::string_view diffusers) const {
  for (const auto& [original, twin] : tensors_) {
    if (std::ranges::count(twin.diffusers, diffusers) > 0) return std::pair(original, twin);
  }
  const auto [row, rest] = FindInnermost(to_original_, diffusers);
  if (row == to_original_.end()) return std::nullopt;
  return std::pair(row->second.name + std::string(rest),
                   KeyTwin{{std::string(diffusers)}, ChangeOf(row->second.change, rest)});
}

KeyTable UnetKeys(const UnetLevels& levels) {
  KeyTable table;
  for (const auto& [original, diffusers] : kUnetEnds) {
    table.Module(std::string(original), std::string(diffusers));
  }
  AddResnet(table, "middle_block.0", "mid_block.resnets.0");
  AddResnet(table, "middle_block.2", "mid_block.resnets.1");
  int number = 1;  // Of the input block; 0 is conv_in.
  for (std::size_t i = 0; i < levels.down.size(); ++i) {
    const std::string block = fmt::format("down_blocks.{}", i);
    for (std::int64_t j = 0; j < levels.down[i].resnet_count; ++j, ++number) {
      AddResnet(table, fmt::format("input_blocks.{}.0", number),
                fmt::format("{}.resnets.{}", block, j));
      if (levels.down[i].has_attention) {
        table.Module(fmt::format("input_blocks.{}.1", number),
                     fmt::format("{}.attentions.{}", block, j));
      }
    }
    if (i + 1 == levels.down.size()) break;
    table.Module(fmt::format("input_blocks.{}.0.op", number), block + ".downsamplers.0.conv");
    ++number;
  }
  number = 0;
  for (std::size_t i = 0; i < levels.up.size(); ++i) {
    const std::string block = fmt::format("up_blocks.{}", i);
    for (std::int64_t j = 0; j < levels.up[i].resnet_count; ++j, ++number) {
      AddResnet(table, fmt::format("output_blocks.{}.0", number),
                fmt::format("{}.resnets.{}", block, j));
      if (levels.up[i].has_attention) {
        table.Module(fmt::format("output_blocks.{}.1", number),
                     fmt::format("{}.attentions.{}", block, j));
      }
    }
    if (i + 1 == levels.up.size()) break;
    // The upsampler closes the level's last output block.
    table.Module(
        fmt::format("output_blocks.{}.{}.conv", number - 1, levels.up[i].has_attention ? 2 : 1),
        block + ".upsamplers.0.conv");
  }
  return table;
}

KeyTable VaeKeys(std::int64_t level_count, std::int64_t layer_count) {
  KeyTable table;
  for (const std::string half : {"encoder", "decoder"}) {
    table.Module(half + ".conv_in", half + ".conv_in");
    table.Module(half + ".norm_out", half + ".conv_norm_out");
    table.Module(half + ".conv_out", half + ".conv_out");
    AddVaeMiddle(table, half);
  }
  table.Module("quant_conv", "quant_conv");
  table.Module("post_quant_conv", "post_quant_conv");
  for (std::int64_t i = 0; i < level_count; ++i) {
    const std::string down = fmt::format("encoder.down.{}", i);
    const std::string down_block = fmt::format("encoder.down_blocks.{}", i);
    // The original counts the decoder's levels by resolution, diffusers in the order of the way.
    const std::string up = fmt::format("decoder.up.{}", level_count - 1 - i);
    const std::string up_block = fmt::format("decoder.up_blocks.{}", i);
    for (std::int64_t j = 0; j <= layer_count; ++j) {  // The decoder has one layer more.
      if (j < layer_count) {
        AddVaeResnet(table, fmt::format("{}.block.{}", down, j),
                     fmt::format("{}.resnets.{}", down_block, j));
      }
      AddVaeResnet(table, fmt::format("{}.block.{}", up, j),
                   fmt::format("{}.resnets.{}", up_block, j));
    }
    table.Module(down + ".downsample.conv", down_block + ".downsamplers.0.conv");
    table.Module(up + ".upsample.conv", up_block + ".upsamplers.0.conv");
  }
  return table;
}

KeyTable ClipKeys() {
  KeyTable table;
  table.Module("text_model", "text_model");
  return table;
}

KeyTable OpenClipKeys(std::int64_t layer_count, bool has_projection) {
  KeyTable table;
  table.Module("token_embedding", "text_model.embeddings.token_embedding");
  table.Module("ln_final", "text_model.final_layer_norm");
  table.Tensor("positional_embedding", {{"text_model.embeddings.position_embedding.weight"}});
  if (has_projection) {
    table.Tensor("text_projection", {{"text_projection.weight"}, KeyChange::kTransposed});
  }
  for (std::int64_t i = 0; i < layer_count; ++i) {
    const std::string original = fmt::format("transformer.resblocks.{}.", i);
    const std::string diffusers = fmt::format("text_model.encoder.layers.{}.", i);
    for (const auto& [from, to] : kOpenClipParts) {
      table.Module(original + std::string(from), diffusers + std::string(to));
    }
    for (const std::string part : {"weight", "bias"}) {
      KeyTwin twin = {.change = KeyChange::kFused};
      for (const char* projection : {"q_proj", "k_proj", "v_proj"}) {
        twin.diffusers.push_back(fmt::format("{}self_attn.{}.{}", diffusers, projection, part));
      }
      table.Tensor(fmt::format("{}attn.in_proj_{}", original, part), std::move(twin));
    }
  }
  return table;
}

std::int64_t CountNumbered(const Names& names, std::string_view prefix) {
  std::int64_t count = 0;
  for (const std::string_view name : names) count = std::max(count, NumberAfter(name, prefix) + 1);
  return count;
}

UnetLevels LevelsOfDiffusers(const Names& names) {
  UnetLevels levels;
  for (auto& [side, prefix] :
       {std::pair(&levels.down, "down_blocks."), std::pair(&levels.up, "up_blocks.")}) {
    for (std::int64_t i = 0; i < CountNumbered(names, prefix); ++i) {
      const std::string block = fmt::format("{}{}.", prefix, i);
      side->push_back({.resnet_count = CountNumbered(names, block + "resnets."),
                       .has_attention = HasPrefix(names, block + "attentions.")});
    }
  }
  return levels;
}

UnetLevels LevelsOfOriginal(const Names& names) {
  UnetLevels levels;
  // What each numbered block holds, found in one pass: "5.1.conv" -> block 5 has part "1.conv".
  const auto parts_of = [&](std::string_view prefix) {
    std::map<std::int64_t, std::set<std::string>> parts;
    for (const std::string_view name : names) {
      const std::int64_t number = NumberAfter(name, prefix);
      if (number < 0) continue;
      const std::size_t begin = name.find('.', prefix.size()) + 1;
      if (begin == 0) continue;
      const std::size_t second = name.find('.', begin);
      parts[number].emplace(name.substr(begin, name.find('.', second + 1) - begin));
    }
    return parts;
  };
  const auto has_attention = [](const std::set<std::string>& parts) {
    return std::ranges::any_of(
        parts, [](const std::string& part) { return part.starts_with("1.") && part != "1.conv"; });
  };
  levels.down.emplace_back();
  for (const auto& [number, parts] : parts_of("input_blocks.")) {
    if (number == 0) continue;
    if (parts.contains("0.op")) {
      levels.down.emplace_back();
    } else {
      ++levels.down.back().resnet_count;
      levels.down.back().has_attention |= has_attention(parts);
    }
  }
  levels.up.emplace_back();
  const auto outputs = parts_of("output_blocks.");
  for (const auto& [number, parts] : outputs) {
    ++levels.up.back().resnet_count;
    levels.up.back().has_attention |= has_attention(parts);
    if (parts.contains("1.conv") || parts.contains("2.conv")) levels.up.emplace_back();
  }
  return levels;
}

}  // namespace stint
