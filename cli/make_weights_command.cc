// stint make-weights: the name of a model -> a diffusers folder with random weights.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "ir/errors.h"
#include "ir/units.h"
#include "models/known_models.h"
#include "models/random_pipeline.h"

namespace stint {
namespace {

constexpr char kExamples[] = R"(Examples:
  stint make-weights --model tiny-sd15 --output tiny/
  stint make-weights --model sdxl --dtype float16 --seed 1 --output sdxl/
  stint make-weights --model sd15 --merges bpe_simple_vocab_16e6.txt.gz --output sd15/

The folder is one of diffusers, of real size and with random weights: everything can be tried without
a download, and pictures are noise. CLIP's vocabulary is not part of Stint: without --merges the
tokenizer merges letters by a rule, so that prompts become some ids. The open-clip-torch package
carries CLIP's merges.)";

struct MakeWeightsFlags {
  std::string model{};
  std::uint64_t seed = 0;
  std::string dtype = "float32";
  std::string merges{};
  std::string max_shard = "10GiB";
  std::string output{};
  bool is_json = false;
};

Dtype DtypeNamed(const std::string& name) {
  static const std::map<std::string, Dtype> dtypes = {
      {"float32", Dtype::kF32}, {"float16", Dtype::kF16}, {"bfloat16", Dtype::kBf16}};
  const auto found = dtypes.find(name);
  if (found == dtypes.end()) {
    throw InputError("--dtype", fmt::format("is '{}', not float32, float16 or bfloat16", name));
  }
  return found->second;
}

ExitCode RunMakeWeightsCommand(const MakeWeightsFlags& flags) {
  RandomPipeline request = {.model = flags.model,
                            .seed = flags.seed,
                            .dtype = DtypeNamed(flags.dtype),
                            .max_shard_bytes = ParseBytes(flags.max_shard, "--max-shard")};
  if (!flags.merges.empty()) request.merges = flags.merges;
  const ScopedInterrupt interrupt;
  WrittenPipeline written;
  {
    Progress progress("writing", "tensors");
    written = WriteRandomPipeline(request, flags.output,
                                  [&](std::int64_t done_count, std::int64_t total_count) {
                                    if (interrupt.was_pressed())
                                      throw std::runtime_error("interrupted: nothing is written");
                                    progress.Update(done_count, total_count);
                                  });
  }
  if (flags.is_json) {
    const nlohmann::ordered_json summary = {{"folder", flags.output},
                                            {"parameter_count", written.parameter_count},
                                            {"size_bytes", written.size_bytes}};
    fmt::print("{}\n", summary.dump(2));
  } else {
    fmt::print(stderr, "{}: {} parameters in {}, {}\n", flags.output, written.parameter_count,
               flags.dtype, FormatBytes(written.size_bytes));
  }
  return ExitCode::kDone;
}

}  // namespace

void AddMakeWeightsCommand(CLI::App& app, ExitCode& exit_code) {
  const auto flags = std::make_shared<MakeWeightsFlags>();
  CLI::App* command =
      app.add_subcommand("make-weights", "Write a model with random weights as a diffusers folder");
  command->footer(kExamples);
  command->add_option("--model", flags->model, "One of " + KnownPipelineNames())
      ->required()
      ->type_name("NAME");
  command->add_option("--output", flags->output, "Folder to make; refused if it exists")
      ->required()
      ->type_name("FOLDER");
  command->add_option("--seed", flags->seed, "Equal seeds, equal weights, in any dtype")
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--dtype", flags->dtype, "float32, float16 or bfloat16")
      ->type_name("NAME")
      ->capture_default_str();
  command
      ->add_option("--merges", flags->merges,
                   "CLIP's merges, as merges.txt or bpe_simple_vocab_16e6.txt.gz")
      ->type_name("FILE");
  command
      ->add_option("--max-shard", flags->max_shard, "Cut a component's file where it gets larger")
      ->type_name("SIZE")
      ->capture_default_str();
  command->add_flag("--json", flags->is_json, "Print the summary as JSON");
  command->callback([flags, &exit_code] { exit_code = RunMakeWeightsCommand(*flags); });
}

}  // namespace stint
