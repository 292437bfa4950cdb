// What a file or folder of weights holds, for people: what `stint inspect` prints. Executes
// nothing, reads headers only.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "files/safetensors_writer.h"
#include "files/tensor.h"

namespace stint {

struct TensorCounts {
  std::int64_t tensor_count = 0;
  std::int64_t parameter_count = 0;          // Elements.
  std::int64_t size_bytes = 0;               //
  std::map<Dtype, std::int64_t> by_dtype{};  // Elements of each.
};

struct ComponentSummary {
  std::string name{};  // "unet", "model_state_dict"; "tensors" for what belongs to no component.
  TensorCounts counts{};
};

struct LoraSummary {
  std::string style{};                           // "PEFT", "kohya".
  std::int64_t module_count = 0;                 //
  std::map<std::int64_t, std::int64_t> ranks{};  // How many modules have each.
};

struct CheckpointSummary {
  std::string kind{};    // "diffusers folder", "original single file", "training state", ...
  std::string family{};  // "SDXL"; empty where there is none.
  std::vector<ComponentSummary> components{};
  std::optional<LoraSummary> lora{};
  std::optional<std::int64_t> epoch{};  // Of a training state.
  std::optional<std::int64_t> step{};
  std::vector<std::string> left_out{};  // Keys that diffusers does not have.
  Metadata metadata{};                  // Of a single .safetensors file.
};

/// @throws InputError naming the file and the key; for a pickle that is not of tensors only, what
/// it would have called.
CheckpointSummary Summarize(const std::filesystem::path& path, const std::string& variant);

}  // namespace stint
