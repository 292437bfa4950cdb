// stint bench-solvers: a folder of instances -> a table of what each solver makes of them.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/artifacts.h"
#include "cli/commands.h"
#include "cli/foreign_flags.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/solver_bench.h"
#include "ir/errors.h"
#include "ir/file.h"
#include "ir/foreign_graph.h"
#include "planner/solver.h"

namespace stint {
namespace {

namespace fs = std::filesystem;

constexpr char kExamples[] = R"(Examples:
  stint bench-solvers --suite instances/moccasin --budgets 90,80,70,50 --time-limit 10
  stint bench-solvers --suite instances/dtr/unet.log --solvers greedy --budgets 50 --output rows.json
  stint bench-solvers --suite sd15_step.json.gz --cost-model sd15 --budgets 8GiB,4GiB --json

A suite is a folder (with what lies below it) or one file: graphs that stint import knows, and
profiles. Other files are named and skipped. Every plan is checked and replayed by the simulator.
A percentage is of what activations take if everything is kept, a size is of the whole process.
Columns: overhead and bound in percent of the time without recomputation, their difference in
percentage points, seconds of planning, the plan's peak and arena. Ctrl-C prints what is done.
Exit 5: a solver failed, or a plan is not what it says.)";

struct BenchFlags {
  std::string suite{};
  std::vector<std::string> solvers{};
  std::vector<std::string> budgets{"90%", "80%", "70%", "50%"};
  double time_limit_s = 60;
  std::int64_t work_limit = 0;
  std::int64_t seed = 0;
  bool is_live_bytes = false;
  ForeignFlags foreign{};
  std::string output{};
  bool is_json = false;
};

struct Skipped {
  std::string file{};
  std::string reason{};
};

struct Suite {
  std::vector<BenchInstance> instances{};
  std::vector<Skipped> skipped{};
};

Profile ReadInstance(const fs::path& path, const ForeignOptions& options) {
  const std::string text = ReadText(path);
  const bool is_ours = text.substr(0, 200).find("\"stint.profile/") != std::string::npos;
  return is_ours ? ProfileFromJson(text, path.string())
                 : ForeignGraphFromText(text, path.string(), options);
}

/// All files below a folder, in the order of their paths.
std::vector<fs::path> FilesOf(const fs::path& suite) {
  if (!fs::exists(suite)) throw InputError("--suite", "there is no " + suite.string());
  if (!fs::is_directory(suite)) return {suite};
  std::vector<fs::path> files{};
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(suite)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::ranges::sort(files);
  return files;
}

Suite ReadSuite(const BenchFlags& flags) {
  const fs::path root = flags.suite;
  Suite suite{};
  for (const fs::path& file : FilesOf(root)) {
    const std::string name =
        fs::is_directory(root) ? fs::relative(file, root).string() : file.filename().string();
    try {
      suite.instances.push_back(
          {.name = name, .profile = ReadInstance(file, ToOptions(flags.foreign))});
    } catch (const InputError& error) {
      suite.skipped.push_back({.file = name, .reason = error.what()});
      fmt::print(stderr, "skipped: {}\n", error.what());
    }
  }
  if (suite.instances.empty()) {
    throw InputError("--suite", "holds no graph that can be planned: " + root.string());
  }
  return suite;
}

std::vector<std::string> SolverNames(const std::vector<std::string>& chosen) {
  std::vector<std::string> names{};
  if (chosen.empty()) {
    for (const std::unique_ptr<Solver>& solver : AllSolvers()) names.push_back(solver->Name());
  }
  for (const std::string& name : chosen) names.push_back(MakeSolver(name)->Name());
  return names;
}

nlohmann::ordered_json ToJson(const BenchRow& row) {
  nlohmann::ordered_json json;
  json["instance"] = row.instance;
  json["op_count"] = row.op_count;
  json["budget"] = row.budget;
  json["budget_bytes"] = row.budget_bytes;
  json["solver"] = row.solver;
  json["status"] = row.status;
  json["keep_all_duration_ns"] = row.keep_all_duration_ns;
  if (HasPlan(row)) {
    json["plan_class"] = row.plan_class;
    json["keep_all_peak_bytes"] = row.keep_all_peak_bytes;
    json["duration_ns"] = row.duration_ns;
    json["lower_bound_ns"] = row.lower_bound_ns;
    json["claimed_ns"] = row.claimed_ns;
    json["overhead_percent"] = OverheadPercent(row);
    json["bound_percent"] = BoundPercent(row);
    json["gap_points"] = GapPoints(row);
    json["peak_bytes"] = row.peak_bytes;
    json["arena_bytes"] = row.arena_bytes;
  } else {
    json["min_budget_bytes"] = row.min_budget_bytes;
    json["note"] = row.note;
  }
  json["wall_s"] = row.wall_s;
  json["cpu_s"] = row.cpu_s;
  return json;
}

std::string ToJson(const std::vector<BenchRow>& rows, const std::vector<Skipped>& skipped,
                   const Context& context) {
  nlohmann::ordered_json json;
  json["rows"] = nlohmann::ordered_json::array();
  for (const BenchRow& row : rows) json["rows"].push_back(ToJson(row));
  json["skipped"] = nlohmann::ordered_json::array();
  for (const Skipped& file : skipped) {
    json["skipped"].push_back({{"file", file.file}, {"reason", file.reason}});
  }
  json["context"] = {{"date", context.date},
                     {"host", context.host},
                     {"version", context.version},
                     {"wall_time_ns", context.wall_time_ns}};
  return json.dump(1) + "\n";
}

std::vector<BenchRow> RunAll(const Suite& suite, const std::vector<BenchBudget>& budgets,
                             const std::vector<std::string>& solvers, const BenchFlags& flags) {
  const ScopedInterrupt interrupt;
  Progress progress("planning", "plans");
  const auto total_count =
      static_cast<std::int64_t>(suite.instances.size() * budgets.size() * solvers.size());
  std::vector<BenchRow> rows{};
  for (const BenchInstance& instance : suite.instances) {
    for (const BenchBudget& budget : budgets) {
      for (const std::string& solver : solvers) {
        if (interrupt.was_pressed()) return rows;
        const BenchOptions options = {.solve = {.time_limit_s = flags.time_limit_s,
                                                .work_limit = flags.work_limit,
                                                .seed = flags.seed,
                                                .stop = &interrupt.was_pressed()},
                                      .limits_arena = !flags.is_live_bytes};
        progress.Update(static_cast<std::int64_t>(rows.size()), total_count,
                        fmt::format("{} {} {}", instance.name, budget.text, solver));
        rows.push_back(RunBench(instance, budget, solver, options));
      }
    }
  }
  return rows;
}

ExitCode RunBenchSolversCommand(const BenchFlags& flags) {
  const auto begin = std::chrono::steady_clock::now();
  if (!flags.output.empty()) CheckWritable(flags.output, "--output");
  if (flags.output == "-") throw InputError("--output", "needs a file; --json prints");
  const std::vector<std::string> solvers = SolverNames(flags.solvers);
  std::vector<BenchBudget> budgets{};
  budgets.reserve(flags.budgets.size());
  for (const std::string& text : flags.budgets) budgets.push_back(ParseBenchBudget(text));
  const Suite suite = ReadSuite(flags);
  const std::vector<BenchRow> rows = RunAll(suite, budgets, solvers, flags);
  const std::string json = ToJson(rows, suite.skipped, MakeContext(begin));
  if (!flags.output.empty()) WriteText(flags.output, json);
  const bool has_colour = isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr;
  fmt::print("{}", flags.is_json ? json : FormatBenchTable(rows, has_colour));
  const bool has_failed = std::ranges::count(rows, "failed", &BenchRow::status) > 0;
  return has_failed ? ExitCode::kCheckFailed : ExitCode::kDone;
}

}  // namespace

void AddBenchSolversCommand(CLI::App& app, ExitCode& exit_code) {
  const auto flags = std::make_shared<BenchFlags>();
  CLI::App* command =
      app.add_subcommand("bench-solvers", "Compare solvers on a folder of graphs and profiles");
  command->footer(kExamples);
  command->add_option("--suite", flags->suite, "Folder or file with the instances")
      ->required()
      ->type_name("DIR");
  command->add_option("--solvers", flags->solvers, "Names, with commas between; all if left out")
      ->delimiter(',')
      ->type_name("NAMES");
  command->add_option("--budgets", flags->budgets, "Percentages or sizes, with commas between")
      ->delimiter(',')
      ->type_name("LIST")
      ->capture_default_str();
  command->add_option("--time-limit", flags->time_limit_s, "Wall clock for each plan")
      ->type_name("SECONDS")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command
      ->add_option("--work-limit", flags->work_limit,
                   "Steps of the solver for each plan, for tables that repeat on any machine; 0: "
                   "none")
      ->type_name("COUNT")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--seed", flags->seed, "For solvers that draw random numbers")
      ->type_name("N")
      ->capture_default_str();
  command->add_flag("--live-bytes", flags->is_live_bytes,
                    "Budgets limit the bytes live at once, as in other planners' figures, not the "
                    "arena: what lies between blocks is not counted");
  AddForeignFlags(*command, flags->foreign);
  command->add_option("--output", flags->output, "File to write the rows to, as JSON")
      ->type_name("FILE");
  command->add_flag("--json", flags->is_json, "Print JSON instead of the table");
  command->callback([flags, &exit_code] { exit_code = RunBenchSolversCommand(*flags); });
}

}  // namespace stint
