// stint simulate: profile + plan -> predicted report.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/artifacts.h"
#include "cli/commands.h"
#include "ir/errors.h"
#include "ir/units.h"
#include "simulator/simulator.h"

namespace stint {
namespace {

constexpr char kExamples[] = R"(Examples:
  stint simulate --profile profile.json --plan plan.json --output predicted.json
  stint plan --profile profile.json --budget 8GiB | stint simulate --profile profile.json --plan -)";

struct SimulateFlags {
  std::string profile{};
  std::string plan{};
  std::string output = "-";
  bool is_json = false;
};

void PrintSummary(const Report& report) {
  const nlohmann::ordered_json summary = {
      {"peak_bytes", report.peak_bytes},
      {"arena_bytes", report.arena_bytes},
      {"process_bytes", report.process_bytes},
      {"duration_ns", report.duration_ns},
      {"recomputed_op_count", report.recomputed_op_count},
  };
  fmt::print("{}\n", summary.dump(2));
}

ExitCode RunSimulateCommand(const SimulateFlags& flags) {
  const auto begin = std::chrono::steady_clock::now();
  CheckWritable(flags.output, "--output");
  if (flags.is_json && flags.output == "-") {
    throw InputError("--json", "needs --output FILE: both would go to standard output");
  }
  const CheckedPlan checked = ReadCheckedPlan(flags.profile, flags.plan);
  Report report = Simulate(checked.profile, checked.plan);
  report.context = MakeContext(begin);
  WriteReport(report, flags.output);
  if (flags.is_json) {
    PrintSummary(report);
  } else {
    fmt::print(stderr, "predicted: arena {}, peak {}, {} an iteration, {} ops recomputed\n",
               ExactBytes(report.arena_bytes), ExactBytes(report.peak_bytes),
               FormatDuration(report.duration_ns), report.recomputed_op_count);
  }
  return ExitCode::kDone;
}

}  // namespace

void AddSimulateCommand(CLI::App& app, ExitCode& exit_code) {
  const auto flags = std::make_shared<SimulateFlags>();
  CLI::App* command = app.add_subcommand(
      "simulate", "Predict memory and time of a plan, instruction by instruction");
  command->footer(kExamples);
  command
      ->add_option("--profile", flags->profile,
                   "Profile the plan is made from; - is standard input")
      ->required()
      ->type_name("FILE");
  command->add_option("--plan", flags->plan, "Plan to simulate; - is standard input")
      ->required()
      ->type_name("FILE");
  command->add_option("--output", flags->output, "Report to write; - is standard output")
      ->type_name("FILE")
      ->capture_default_str();
  command->add_flag("--json", flags->is_json, "Print the summary as JSON");
  command->callback([flags, &exit_code] { exit_code = RunSimulateCommand(*flags); });
}

}  // namespace stint
