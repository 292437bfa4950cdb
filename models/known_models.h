// The models that Stint knows by name, with their configurations; no files are needed for them at
// run time. No LibTorch.
#pragma once

#include <optional>
#include <string>

namespace stint {

/// The config.json of a part, by names like "sd15-unet", "clip-l-text" or "sdxl-vae".
std::optional<std::string> KnownConfig(const std::string& name);

/// The same for UNets only.
std::optional<std::string> KnownUnet(const std::string& name);

/// A whole model as PipelineConfigFromJson takes it: "sd15", "sd21", "sd21-768", "sdxl", and tiny
/// ones with their topologies, "tiny-sd15", "tiny-sd21", "tiny-sdxl".
std::optional<std::string> KnownPipeline(const std::string& name);

/// "sd15-unet, sd21-768-unet, ...": UNets that KnownConfig knows.
std::string KnownUnetNames();
/// "sd15, sd21, ...".
std::string KnownPipelineNames();

}  // namespace stint
