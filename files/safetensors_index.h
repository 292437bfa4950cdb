// Which file of a sharded set of .safetensors files holds which tensor:
//
//     {"metadata": {"total_size": 10269854464},
//      "weight_map": {"conv_in.weight": "diffusion_pytorch_model-00001-of-00002.safetensors", ...}}
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace stint {

/// The name of the file that holds each tensor: names only, never a path out of the index's folder.
/// @throws InputError naming `where` and the JSON pointer.
std::map<std::string, std::string> ParseSafetensorsIndex(std::string_view text,
                                                         const std::string& where);

}  // namespace stint
