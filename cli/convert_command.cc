// stint convert: a checkpoint of one layout -> the same of the other.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "cli/commands.h"
#include "files/checkpoint.h"
#include "ir/units.h"

namespace stint {
namespace {

constexpr char kExamples[] = R"(Examples:
  stint convert --input sd15.safetensors --output sd15/
  stint convert --input sd15/ --variant fp16 --output sd15.safetensors

A single file has the original layout of Stable Diffusion, a folder that of diffusers. Weights only:
dtypes and numbers stay as they are.)";

struct ConvertFlags {
  std::string input{};
  std::string output{};
  std::string variant{};
  std::string max_shard = "10GiB";
};

void ToFile(const ConvertFlags& flags) {
  const Checkpoint checkpoint = OpenCheckpoint(flags.input, flags.variant);
  WriteOriginal(flags.output, checkpoint.components, flags.input);
}

void ToFolder(const ConvertFlags& flags) {
  const Checkpoint checkpoint = OpenCheckpoint(flags.input, flags.variant);
  WriteDiffusersFolder(flags.output, checkpoint.components,
                       ParseBytes(flags.max_shard, "--max-shard"));
  if (!checkpoint.left_out.empty()) {
    fmt::print(stderr, "stint: {}: left out {} tensors that diffusers does not have\n", flags.input,
               checkpoint.left_out.size());
  }
}

}  // namespace

void AddConvertCommand(CLI::App& app, ExitCode& exit_code) {
  const auto flags = std::make_shared<ConvertFlags>();
  CLI::App* command =
      app.add_subcommand("convert", "Turn a checkpoint into diffusers' layout, or back");
  command->footer(kExamples);
  command->add_option("--input", flags->input, ".safetensors file or diffusers folder")
      ->required()
      ->type_name("PATH");
  command->add_option("--output", flags->output, "Folder, or file that ends in .safetensors")
      ->required()
      ->type_name("PATH");
  command->add_option("--variant", flags->variant, "Of a folder: prefer model.VARIANT.safetensors")
      ->type_name("WORD");
  command
      ->add_option("--max-shard", flags->max_shard,
                   "Cut a component's file of a folder where it gets larger")
      ->capture_default_str()
      ->type_name("SIZE");
  command->callback([flags, &exit_code] {
    flags->output.ends_with(".safetensors") ? ToFile(*flags) : ToFolder(*flags);
    exit_code = ExitCode::kDone;
  });
}

}  // namespace stint
