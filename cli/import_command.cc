// stint import: a graph of another project -> profile.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/artifacts.h"
#include "cli/commands.h"
#include "cli/foreign_flags.h"
#include "ir/errors.h"
#include "ir/foreign_graph.h"
#include "ir/units.h"

namespace stint {
namespace {

constexpr char kExamples[] = R"(Examples:
  stint import vgg_unet_train.json --output vgg_unet.json.gz
  stint import sd15_step.json.gz --cost-model sd15 --output step.json.gz
  stint import lstm.log | stint plan --profile - --activation-budget 50% --output plan.json

Formats, told apart by their content: node-link JSON of Checkmate and MOCCASIN, logs of DTR, Chainer
graphs of Kusumoto et al., and Stint's own cost graphs and whole steps. The profile can be planned
and simulated, not run. Planners round every storage up to 512 B. Each command that takes a profile
takes the imported one; bench-solvers reads the files themselves.)";

struct ImportFlags {
  std::string file{};
  std::string output = "-";
  ForeignFlags foreign{};
  bool is_json = false;
};

ExitCode RunImportCommand(const ImportFlags& flags) {
  const auto begin = std::chrono::steady_clock::now();
  CheckWritable(flags.output, "--output");
  if (flags.is_json && flags.output == "-") {
    throw InputError("--json", "needs --output FILE: both would go to standard output");
  }
  Profile profile = ReadForeignGraph(flags.file, ToOptions(flags.foreign));
  profile.context = MakeContext(begin);
  WriteProfile(profile, flags.output);
  std::int64_t persistent_bytes = 0;
  std::int64_t made_bytes = 0;
  std::int64_t duration_ns = 0;
  for (const Buffer& buffer : profile.buffers) {
    (buffer.is_persistent ? persistent_bytes : made_bytes) += buffer.size_bytes;
  }
  for (const Op& op : profile.ops) duration_ns += op.duration_ns;
  if (flags.is_json) {
    const nlohmann::ordered_json summary = {{"op_count", profile.ops.size()},
                                            {"buffer_count", profile.buffers.size()},
                                            {"persistent_bytes", persistent_bytes},
                                            {"made_bytes", made_bytes},
                                            {"duration_ns", duration_ns}};
    fmt::print("{}\n", summary.dump(2));
  } else {
    fmt::print(stderr, "imported {}: {} ops, {}, {} made, {} persistent\n",
               profile.workload.model.empty() ? "a graph" : profile.workload.model,
               profile.ops.size(), FormatDuration(duration_ns), FormatBytes(made_bytes),
               FormatBytes(persistent_bytes));
  }
  return ExitCode::kDone;
}

}  // namespace

void AddImportCommand(CLI::App& app, ExitCode& exit_code) {
  const auto flags = std::make_shared<ImportFlags>();
  CLI::App* command =
      app.add_subcommand("import", "Turn a graph of another project into a profile");
  command->footer(kExamples);
  command->add_option("FILE", flags->file, "Graph to read; - is standard input")->required();
  AddForeignFlags(*command, flags->foreign);
  command->add_option("--output", flags->output, "Profile to write; - is standard output")
      ->type_name("FILE")
      ->capture_default_str();
  command->add_flag("--json", flags->is_json, "Print the summary as JSON");
  command->callback([flags, &exit_code] { exit_code = RunImportCommand(*flags); });
}

}  // namespace stint
