// stint report: predicted + measured report -> table, page, verdict.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "cli/artifacts.h"
#include "cli/commands.h"
#include "cli/comparison.h"
#include "ir/errors.h"
#include "ir/file.h"

namespace stint {
namespace {

constexpr char kExamples[] = R"(Examples:
  stint report --predicted predicted.json --measured measured.json
  stint report --predicted predicted.json --measured measured.json --plan plan.json --html report.html
  stint report --predicted predicted.json --measured measured.json --json | jq .is_memory_equal

Exit 5: measured memory is not the predicted one, or planned results are not the unplanned ones.)";

struct ReportFlags {
  std::string predicted{};
  std::string measured{};
  std::string plan{};
  std::string html{};
  bool is_json = false;
};

Report ReadReportOf(ReportSource source, const std::string& path) {
  Report report = ReadReport(path);
  if (report.source != source) {
    throw InputError(path + ":/source", source == ReportSource::kPredicted
                                            ? "is a measured report, not a predicted one"
                                            : "is a predicted report, not a measured one");
  }
  return report;
}

std::optional<Plan> ReadPlanOf(const Report& report, const std::string& path) {
  if (path.empty()) return std::nullopt;
  Plan plan = ReadPlan(path);
  if (PlanSha256(plan) != report.plan_sha256) {
    throw InputError("--plan", path + " is another plan than the reports'");
  }
  return plan;
}

void PrintJson(const Comparison& comparison, const Report& predicted, const Report& measured,
               const std::optional<Plan>& plan) {
  nlohmann::ordered_json json;
  json["is_memory_equal"] = comparison.memory_difference.empty();
  json["memory_difference"] = comparison.memory_difference;
  if (measured.verification) {
    json["are_results_equal"] = comparison.results_difference.empty();
    json["results_difference"] = comparison.results_difference;
  }
  if (plan) {
    json["keep_all_peak_bytes"] = plan->keep_all_peak_bytes;
    json["budget_bytes"] = plan->budget_bytes;
  }
  const auto both = [&](const char* key, std::int64_t Report::*field) {
    json[std::string("predicted_") + key] = predicted.*field;
    json[std::string("measured_") + key] = measured.*field;
  };
  both("peak_bytes", &Report::peak_bytes);
  both("arena_bytes", &Report::arena_bytes);
  both("process_bytes", &Report::process_bytes);
  both("duration_ns", &Report::duration_ns);
  json["measured_spread_ns"] = measured.spread_ns;
  json["recomputed_op_count"] = measured.recomputed_op_count;
  json["request_count"] = measured.served.request_count;
  json["mismatch_count"] = measured.served.mismatch_count;
  json["foreign_request_count"] = measured.served.foreign.size();
  fmt::print("{}\n", json.dump(2));
}

ExitCode RunReportCommand(const ReportFlags& flags) {
  if (flags.html == "-")
    throw InputError("--html", "needs a file: the table goes to standard output");
  if (!flags.html.empty()) CheckWritable(flags.html, "--html");
  CheckOneStandardInput({flags.predicted, flags.measured, flags.plan});
  const Report predicted = ReadReportOf(ReportSource::kPredicted, flags.predicted);
  const Report measured = ReadReportOf(ReportSource::kMeasured, flags.measured);
  if (predicted.plan_sha256 != measured.plan_sha256) {
    throw InputError(flags.measured + ":/made_from/plan_sha256",
                     "is of another plan than " + flags.predicted);
  }
  const std::optional<Plan> plan = ReadPlanOf(predicted, flags.plan);
  const Plan* plan_or_null = plan ? &*plan : nullptr;
  const Comparison comparison = Compare(predicted, measured, plan_or_null);
  if (!flags.html.empty()) {
    WriteText(flags.html, FormatHtml(comparison, predicted, measured, plan_or_null));
  }
  if (flags.is_json) {
    PrintJson(comparison, predicted, measured, plan);
  } else {
    const bool has_colour = isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr;
    fmt::print("{}", FormatTable(comparison, has_colour));
  }
  for (const std::string& difference :
       {comparison.memory_difference, comparison.results_difference}) {
    if (!difference.empty()) fmt::print(stderr, "stint: {}: {}\n", flags.measured, difference);
  }
  return IsBroken(comparison) ? ExitCode::kCheckFailed : ExitCode::kDone;
}

}  // namespace

void AddReportCommand(CLI::App& app, ExitCode& exit_code) {
  const auto flags = std::make_shared<ReportFlags>();
  CLI::App* command =
      app.add_subcommand("report", "Compare a predicted report with a measured one");
  command->footer(kExamples);
  command->add_option("--predicted", flags->predicted, "Report of stint simulate")
      ->required()
      ->type_name("FILE");
  command->add_option("--measured", flags->measured, "Report of stint run")
      ->required()
      ->type_name("FILE");
  command->add_option("--plan", flags->plan, "Their plan, for its budget and keep-all peak")
      ->type_name("FILE");
  command->add_option("--html", flags->html, "Page to write, with memory over time")
      ->type_name("FILE");
  command->add_flag("--json", flags->is_json, "Print JSON instead of the table");
  command->callback([flags, &exit_code] { exit_code = RunReportCommand(*flags); });
}

}  // namespace stint
