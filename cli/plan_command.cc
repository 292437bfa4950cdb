// stint plan: profile + budget -> plan.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/artifacts.h"
#include "cli/budget.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "ir/errors.h"
#include "ir/units.h"
#include "planner/make_plan.h"

namespace stint {
namespace {

constexpr char kExamples[] = R"(Examples:
  stint plan --profile profile.json --budget 8GiB --output plan.json
  stint plan --profile profile.json --activation-budget 70% --work-limit 200000 --output plan.json
  stint plan --profile profile.json --budget none --solver keep-all --output keep_all.json
  stint plan --profile profile.json --budget 8GiB --gap 0.5 --time-limit 600 --output plan.json
  stint plan --profile profile.json --budget 8GiB --output plan.json --json | jq .overhead_percent

The budget is device memory of the whole process. An activation budget of 70 % allows what no plan
can avoid (overhead of the device, persistent buffers) and 70 % of the rest of the keep-all peak.
Planning ends with a proof that no plan is faster, at the gap, at a limit, or with Ctrl-C, and gives
the best plan so far; a work limit gives the same plan on any machine. Exit 3: nothing can fit (the line says how much would);
exit 4: no plan was found, and no proof that there is none.)";

struct PlanFlags {
  std::string profile{};
  std::string budget{};
  std::string activation_budget{};
  std::string host_budget{};
  bool has_snapshot = false;
  std::string solver = "greedy";
  double gap_points = 0;
  double time_limit_s = 60;
  std::int64_t work_limit = 0;
  std::int64_t seed = 0;
  std::string output = "-";
  bool is_json = false;
};

PlanRequest ReadRequest(const PlanFlags& flags, const Profile& profile) {
  if (std::isnan(flags.gap_points)) throw InputError("--gap", "is no number");
  PlanRequest request = {.solver = flags.solver,
                         .has_snapshot = flags.has_snapshot,
                         .host_budget_bytes = ParseHostBudget(flags.host_budget),
                         .options = {.time_limit_s = flags.time_limit_s,
                                     .work_limit = flags.work_limit,
                                     .gap = flags.gap_points / 100,
                                     .seed = flags.seed}};
  if (!flags.activation_budget.empty()) {
    const double share = ParsePercent(flags.activation_budget, "--activation-budget");
    request.budget_bytes = ActivationBudget(profile, share);
  } else if (flags.budget == "none") {
    request.has_budget = false;
  } else {
    request.budget_bytes = ParseBytes(flags.budget, "--budget");
    if (request.budget_bytes == 0) throw InputError("--budget", "is zero");
  }
  return request;
}

double Percent(std::int64_t duration_ns, std::int64_t base_ns) {
  if (base_ns == 0) return 0;
  return 100 * (static_cast<double>(duration_ns) / static_cast<double>(base_ns) - 1);
}

std::int64_t CountRecomputes(const Profile& profile, const Plan& plan) {
  std::int64_t count = 0;
  for (std::size_t i = 0; i < plan.phases.size(); ++i) {
    const Phase& phase = profile.phases[i];
    const auto computes = [](const std::vector<Instruction>& instructions) {
      return std::ranges::count(instructions, InstructionKind::kCompute, &Instruction::kind);
    };
    const auto op_count = static_cast<std::int64_t>(Index(phase.end) - Index(phase.begin));
    count += computes(plan.phases[i].prologue) + computes(plan.phases[i].epilogue) +
             phase.repeat_count * (computes(plan.phases[i].body) - op_count);
  }
  return count;
}

const char* StatusWord(SolveStatus status) {
  switch (status) {
    case SolveStatus::kOptimal:
      return "optimal";
    case SolveStatus::kFeasible:
      return "feasible";
    case SolveStatus::kInfeasible:
      return "infeasible";
    case SolveStatus::kUnknown:
      return "unknown";
  }
  throw std::logic_error("a status without a word");
}

void PrintSummary(const Profile& profile, const PlanRequest& request, const PlanAnswer& answer) {
  nlohmann::ordered_json summary;
  summary["status"] = StatusWord(answer.status);
  summary["solver"] = request.solver;
  if (answer.plan) {
    const Plan& plan = *answer.plan;
    summary["budget_bytes"] = plan.budget_bytes;
    summary["overhead_bytes"] = plan.overhead_bytes;
    summary["arena_bytes"] = plan.arena_bytes;
    summary["peak_bytes"] = plan.peak_bytes;
    summary["keep_all_peak_bytes"] = plan.keep_all_peak_bytes;
    summary["duration_ns"] = plan.duration_ns;
    summary["lower_bound_ns"] = plan.lower_bound_ns;
    summary["claimed_ns"] = plan.certificate.claimed_ns;
    summary["overhead_percent"] = Percent(plan.duration_ns, plan.keep_all_duration_ns);
    summary["bound_percent"] = Percent(plan.lower_bound_ns, plan.keep_all_duration_ns);
    summary["plan_class"] = plan.certificate.plan_class;
    summary["solver_parts"] = plan.solver_parts;
    summary["recomputed_op_count"] = CountRecomputes(profile, plan);
    summary["host_bytes"] = plan.host_bytes;
    summary["snapshot_bytes"] = plan.snapshot_bytes;
  } else {
    summary["budget_bytes"] = request.budget_bytes;
    summary["min_budget_bytes"] = answer.min_budget_bytes;
    if (answer.min_host_bytes > 0) summary["min_host_bytes"] = answer.min_host_bytes;
    summary["binding"] = answer.binding;
  }
  fmt::print("{}\n", summary.dump(2));
}

void SaySummary(const Profile& profile, const Plan& plan) {
  fmt::print(
      stderr,
      "{}: arena {} of a budget of {} ({} of it outside the arena), {} if everything is kept\n",
      plan.solver, FormatBytes(plan.arena_bytes), FormatBytes(plan.budget_bytes),
      FormatBytes(plan.overhead_bytes), FormatBytes(plan.keep_all_peak_bytes));
  const double overhead_percent = Percent(plan.duration_ns, plan.keep_all_duration_ns);
  const double bound_percent = Percent(plan.lower_bound_ns, plan.keep_all_duration_ns);
  fmt::print(stderr,
             "{}: {} an iteration, {} ops recomputed, overhead {:.2f} %, proven >= {:.2f} %, gap "
             "{:.2f}\n",
             plan.solver, FormatDuration(plan.duration_ns), CountRecomputes(profile, plan),
             overhead_percent, bound_percent, overhead_percent - bound_percent);
  if (plan.certificate.claimed_ns > 0) {
    const double exact_percent =
        Percent(plan.lower_bound_ns - plan.certificate.claimed_ns, plan.keep_all_duration_ns);
    fmt::print(stderr,
               "{}: of the bound, {:.2f} % is proved in integers; beyond that it rests on a solver "
               "that computes in floating point\n",
               plan.solver, exact_percent);
  }
  if (plan.host_bytes + plan.snapshot_bytes > 0) {
    fmt::print(stderr, "{}: of pinned host memory {} for what moves and {} for the snapshot\n",
               plan.solver, FormatBytes(plan.host_bytes), FormatBytes(plan.snapshot_bytes));
  }
  fmt::print(stderr, "{}: ran {}\n", plan.solver, fmt::join(plan.solver_parts, ", "));
}

/// "overhead 6.35 %  proven >= 6.01 %  gap 0.34".
std::string DescribeProgress(const SolveProgress& best, std::int64_t keep_all_ns) {
  const double bound_percent = Percent(best.lower_bound_ns, keep_all_ns);
  if (best.duration_ns == 0) return fmt::format("no plan yet  proven >= {:.2f} %", bound_percent);
  const double overhead_percent = Percent(best.duration_ns, keep_all_ns);
  return fmt::format("overhead {:.2f} %  proven >= {:.2f} %  gap {:.2f}", overhead_percent,
                     bound_percent, overhead_percent - bound_percent);
}

PlanAnswer Solve(const Profile& profile, PlanRequest request, const ScopedInterrupt& interrupt) {
  const std::int64_t keep_all_ns = KeepAllDurationNs(profile);
  Progress progress("planning", "steps");
  progress.Update(0, 0, "no plan yet");
  request.options.stop = &interrupt.was_pressed();
  request.options.on_progress = [&](const SolveProgress& best) {
    progress.Update(0, 0, DescribeProgress(best, keep_all_ns));
  };
  return MakePlan(profile, request);
}

ExitCode RunPlanCommand(const PlanFlags& flags) {
  const auto begin = std::chrono::steady_clock::now();
  CheckWritable(flags.output, "--output");
  if (flags.is_json && flags.output == "-") {
    throw InputError("--json", "needs --output FILE: both would go to standard output");
  }
  const ScopedInterrupt interrupt;  // Reading a large profile takes a while, too.
  const Profile profile = ReadProfile(flags.profile);
  const PlanRequest request = ReadRequest(flags, profile);
  PlanAnswer answer = Solve(profile, request, interrupt);
  if (flags.is_json) PrintSummary(profile, request, answer);
  if (!answer.plan) {
    fmt::print(stderr, "stint: {}\n", DescribeNo(request, answer));
    return ExitCodeOf(answer);
  }
  answer.plan->context = MakeContext(begin);
  WritePlan(*answer.plan, flags.output);
  if (!flags.is_json) SaySummary(profile, *answer.plan);
  return ExitCode::kDone;
}

/// The names in the registry.
std::string SolverHelp() {
  std::vector<std::string> names{};
  for (const std::unique_ptr<Solver>& solver : AllSolvers()) names.push_back(solver->Name());
  return fmt::format("One of {}", fmt::join(names, ", "));
}

}  // namespace

void AddPlanCommand(CLI::App& app, ExitCode& exit_code) {
  const auto flags = std::make_shared<PlanFlags>();
  CLI::App* command =
      app.add_subcommand("plan", "Decide what to keep and what to recompute, and where it lies");
  command->footer(kExamples);
  command->add_option("--profile", flags->profile, "Profile to plan; - is standard input")
      ->required()
      ->type_name("FILE");
  CLI::Option_group* budget = command->add_option_group("Budget", "One of");
  budget
      ->add_option("--budget", flags->budget,
                   "Device memory of the whole process (512MiB, 8GiB), or none")
      ->type_name("SIZE");
  budget
      ->add_option("--activation-budget", flags->activation_budget,
                   "The same, as a share of what activations take if everything is kept (70%)")
      ->type_name("PERCENT");
  budget->require_option(1);
  command->add_flag("--snapshot", flags->has_snapshot,
                    "With room in host memory to save what is trained between two iterations");
  command
      ->add_option("--host-budget", flags->host_budget,
                   "Pinned host memory, for what the plan moves there and for the snapshot "
                   "(default: as much as it takes)")
      ->type_name("SIZE");
  command->add_option("--solver", flags->solver, SolverHelp())
      ->type_name("NAME")
      ->capture_default_str();
  command
      ->add_option("--gap", flags->gap_points,
                   "Stop once overhead and bound are within so many percentage points")
      ->type_name("POINTS")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  command->add_option("--time-limit", flags->time_limit_s, "Wall clock for the solver")
      ->type_name("SECONDS")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command
      ->add_option("--work-limit", flags->work_limit,
                   "Steps of the solver, for plans that repeat on any machine; 0: none")
      ->type_name("COUNT")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--seed", flags->seed, "For solvers that draw random numbers")
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--output", flags->output, "Plan to write; - is standard output")
      ->type_name("FILE")
      ->capture_default_str();
  command->add_flag("--json", flags->is_json, "Print the summary, or the no, as JSON");
  command->callback([flags, &exit_code] { exit_code = RunPlanCommand(*flags); });
}

}  // namespace stint
