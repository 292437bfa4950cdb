// stint run: profile + plan -> measured report.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "cli/artifacts.h"
#include "cli/budget.h"
#include "cli/commands.h"
#include "cli/comparison.h"
#include "cli/progress.h"
#include "cli/twin.h"
#include "dispatch/device_runtime.h"
#include "executor/executor.h"
#include "executor/verify.h"
#include "ir/errors.h"
#include "ir/units.h"
#include "models/workload.h"
#include "simulator/simulator.h"

namespace stint {
namespace {

constexpr char kExamples[] = R"(Examples:
  stint run --profile profile.json --plan plan.json --output measured.json
  stint run --profile profile.json --plan plan.json --weights unet.safetensors --verify --output measured.json
  stint run --profile profile.json --plan plan.json --iterations 1 --poison --jitter 7 --output measured.json

Exit 5: measured memory is not what stint simulate predicts, or --verify found a difference.
The report is written all the same.)";

struct RunFlags {
  std::string profile{};
  std::string plan{};
  std::string weights = "seed:0";
  std::string inputs = "seed:1";
  std::int64_t iteration_count = 5;
  bool is_op_by_op = false;
  bool is_poisoned = false;
  std::optional<std::uint64_t> jitter_seed{};
  bool is_verified = false;
  std::string output = "-";
  bool is_json = false;
};

/// Weights and inputs from where the flags say.
class Values {
 public:
  explicit Values(const RunFlags& flags)
      : weights_(MakeWeightSource(flags.weights, "--weights")),
        inputs_(MakeInputSource(flags.inputs, "--inputs")) {}

  LoadValue Loader() const {
    return [this](const Buffer& buffer, const torch::Tensor& value) {
      const ValueSource& source = buffer.role == BufferRole::kInput ? *inputs_ : *weights_;
      source.Load(buffer, value);
    };
  }

 private:
  std::unique_ptr<ValueSource> weights_;
  std::unique_ptr<ValueSource> inputs_;
};

ExecuteOptions OptionsFor(const RunFlags& flags, Progress& progress) {
  return {.iteration_count = flags.iteration_count,
          .use_graph = !flags.is_op_by_op,
          .poison = flags.is_poisoned,
          .jitter_seed = flags.jitter_seed,
          .on_progress = [&](std::int64_t done_count, std::int64_t total_count) {
            progress.Update(done_count, total_count);
          }};
}

Report Measure(const CheckedPlan& checked, const RunFlags& flags, DeviceRuntime& runtime,
               const LoadValue& load) {
  Progress progress("running", "instructions");
  return Execute(checked.profile, checked.plan, runtime, load, OptionsFor(flags, progress));
}

/// What comparing the twin's planned run with the unplanned one gave.
struct VerifyAnswer {
  std::optional<Verification> verification{};  // Empty: the twin has no plan, see `why_not`.
  std::string why_not{};
  ExitCode exit_code = ExitCode::kDone;
};

VerifyAnswer Verify(const CheckedPlan& checked, const RunFlags& flags, DeviceRuntime& runtime,
                    const LoadValue& load) {
  const Twin twin = MakeTwin(checked.profile, checked.plan, runtime);
  if (!twin.answer.plan) {
    return {.why_not = fmt::format("the deterministic twin has no plan within {}: {}",
                                   ExactBytes(checked.plan.budget_bytes), twin.answer.binding),
            .exit_code = ExitCodeOf(twin.answer)};
  }
  const Program program = BuildProgram(checked.profile.workload);
  const Results expected = RunUnplanned(program, runtime, load);
  Progress progress("verifying", "instructions");
  const Report report = ExecuteAndVerify(twin.profile, *twin.answer.plan, runtime, load, expected,
                                         OptionsFor(flags, progress));
  return {.verification = report.verification};
}

void SaySummary(const Report& report) {
  fmt::print(stderr,
             "measured: arena {}, peak {}, {} ± {} an iteration ({}), {} requests as planned\n",
             ExactBytes(report.arena_bytes), ExactBytes(report.peak_bytes),
             FormatDuration(report.duration_ns), FormatDuration(report.spread_ns), report.mode,
             report.served.request_count);
  if (!report.verification) return;
  const Verification& verification = *report.verification;
  if (verification.differing.empty()) {
    fmt::print(stderr,
               "verified: {} outputs, {} gradients, {} weights and states equal bit for bit\n",
               verification.output_count, verification.gradient_count, verification.weight_count);
  }
}

void PrintSummary(const Report& report, const Comparison& comparison) {
  nlohmann::ordered_json summary = {
      {"peak_bytes", report.peak_bytes},
      {"arena_bytes", report.arena_bytes},
      {"process_bytes", report.process_bytes},
      {"duration_ns", report.duration_ns},
      {"spread_ns", report.spread_ns},
      {"is_memory_equal", comparison.memory_difference.empty()},
  };
  if (report.verification) {
    summary["are_results_equal"] = report.verification->differing.empty();
  }
  fmt::print("{}\n", summary.dump(2));
}

ExitCode RunRunCommand(const RunFlags& flags) {
  const auto begin = std::chrono::steady_clock::now();
  CheckWritable(flags.output, "--output");
  if (flags.is_json && flags.output == "-") {
    throw InputError("--json", "needs --output FILE: both would go to standard output");
  }
  const CheckedPlan checked = ReadCheckedPlan(flags.profile, flags.plan);
  const Report predicted = Simulate(checked.profile, checked.plan);
  const Values values(flags);
  const bool is_cpu = checked.profile.device.kind == DeviceKind::kCpu;
  const std::unique_ptr<DeviceRuntime> runtime = MakeDeviceRuntime(is_cpu ? "cpu" : "cuda:0");

  Report measured = Measure(checked, flags, *runtime, values.Loader());
  VerifyAnswer answer;
  if (flags.is_verified) answer = Verify(checked, flags, *runtime, values.Loader());
  measured.verification = answer.verification;
  measured.context = MakeContext(begin);
  WriteReport(measured, flags.output);

  const Comparison comparison = Compare(predicted, measured, &checked.plan);
  if (flags.is_json) {
    PrintSummary(measured, comparison);
  } else {
    SaySummary(measured);
  }
  for (const std::string& difference :
       {comparison.memory_difference, comparison.results_difference, answer.why_not}) {
    if (!difference.empty()) fmt::print(stderr, "stint: {}: {}\n", flags.plan, difference);
  }
  return IsBroken(comparison) ? ExitCode::kCheckFailed : answer.exit_code;
}

}  // namespace

void AddRunCommand(CLI::App& app, ExitCode& exit_code) {
  const auto flags = std::make_shared<RunFlags>();
  CLI::App* command =
      app.add_subcommand("run", "Run a plan on its device and measure memory and time");
  command->footer(kExamples);
  command
      ->add_option("--profile", flags->profile,
                   "Profile the plan is made from; - is standard input")
      ->required()
      ->type_name("FILE");
  command->add_option("--plan", flags->plan, "Plan to run; - is standard input")
      ->required()
      ->type_name("FILE");
  command->add_option("--weights", flags->weights, "A .safetensors file, or seed:N for random ones")
      ->type_name("FILE|seed:N")
      ->capture_default_str();
  command->add_option("--inputs", flags->inputs, "A .safetensors file, or seed:N for random ones")
      ->type_name("FILE|seed:N")
      ->capture_default_str();
  command->add_option("--iterations", flags->iteration_count, "Timed ones, after one that is not")
      ->type_name("N")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_flag("--no-graph", flags->is_op_by_op, "Issue op by op where the device has graphs");
  command->add_flag("--poison", flags->is_poisoned,
                    "Fill what is freed with NaN, to find reads of dead values");
  command
      ->add_option("--jitter", flags->jitter_seed,
                   "Delay copies and computes at random, to find waits that are missing")
      ->type_name("SEED");
  command->add_flag("--verify", flags->is_verified,
                    "Compare with the unplanned run, bitwise, through the deterministic twin");
  command->add_option("--output", flags->output, "Report to write; - is standard output")
      ->type_name("FILE")
      ->capture_default_str();
  command->add_flag("--json", flags->is_json, "Print the summary as JSON");
  command->callback([flags, &exit_code] { exit_code = RunRunCommand(*flags); });
}

}  // namespace stint
