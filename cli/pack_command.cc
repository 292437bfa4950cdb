// stint pack: blocks as a CSV file -> the same with addresses.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/artifacts.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "ir/errors.h"
#include "ir/file.h"
#include "ir/units.h"
#include "planner/arena.h"
#include "planner/packing.h"
#include "planner/packing_csv.h"
#include "planner/program.h"

namespace stint {
namespace {

constexpr char kExamples[] = R"(Examples:
  stint pack --input A.1048576.csv --output packed.csv
  stint pack --input A.1048576.csv --capacity 1048576B --json --output packed.csv
  stint pack --profile profile.json --plan plan.json --output packed.csv

Reads and writes the files of MiniMalloc: a line id,lower,upper,size for each block, which takes
size bytes during [lower, upper); the output has one more column, offset. Packs as low as it can;
with a capacity, until it fits. With a plan instead of an input it packs what the plan keeps when,
as planning did; so other packers can be tried on it. Exit 3: no packing fits the capacity; exit 4: none was found, and no
proof that there is none.)";

struct PackFlags {
  std::string input{};
  std::string profile{};
  std::string plan{};
  std::string capacity{};
  std::string output = "-";
  double time_limit_s = 60;
  std::int64_t work_limit = PackingOptions{}.step_limit;
  std::int32_t thread_count = 0;
  bool is_json = false;
};

/// What a plan keeps when, as rows.
std::vector<PackingRow> RowsOfPlan(const PackFlags& flags) {
  const auto [profile, plan] = ReadCheckedPlan(flags.profile, flags.plan);
  for (const PhasePlan& phase : plan.phases) {
    for (const auto* part : {&phase.prologue, &phase.body, &phase.epilogue}) {
      if (!std::ranges::all_of(*part, [](const Instruction& instruction) {
            return instruction.kind == InstructionKind::kCompute ||
                   instruction.kind == InstructionKind::kFree;
          })) {
        throw InputError("--plan", "moves buffers to the host; its blocks depend on copies");
      }
    }
  }
  const Program program = MakeProgram(profile, DeriveEffects(profile));
  std::vector<PackingRow> rows{};
  for (const Block& block : BlocksOfSchedule(profile, program, {.phases = plan.phases})) {
    rows.push_back({.id = std::to_string(rows.size()),
                    .lower = block.begin,
                    .upper = block.end,
                    .size_bytes = block.size_bytes});
  }
  return rows;
}

std::vector<PackingRow> ReadRows(const PackFlags& flags) {
  if (flags.input.empty()) return RowsOfPlan(flags);
  return ParsePackingCsv(ReadText(flags.input),
                         flags.input == "-" ? "standard input" : flags.input);
}

bool IsProvenLowest(const Packing& packing) {
  return packing.height_bytes == packing.lower_bound_bytes;
}

double GapPercent(const Packing& packing) {
  if (packing.height_bytes == packing.lower_bound_bytes) return 0;
  return 100 * static_cast<double>(packing.height_bytes - packing.lower_bound_bytes) /
         static_cast<double>(packing.lower_bound_bytes);
}

void PrintSummary(const Packing& packing, double wall_s) {
  const nlohmann::ordered_json summary = {{"block_count", packing.offsets.size()},
                                          {"height_bytes", packing.height_bytes},
                                          {"load_bytes", packing.load_bytes},
                                          {"lower_bound_bytes", packing.lower_bound_bytes},
                                          {"gap_percent", GapPercent(packing)},
                                          {"is_proven_lowest", IsProvenLowest(packing)},
                                          {"wall_s", wall_s}};
  fmt::print("{}\n", summary.dump(2));
}

void SaySummary(const Packing& packing, double wall_s) {
  const char* const proof = !IsProvenLowest(packing) ? "not proven lowest"
                            : packing.height_bytes == packing.load_bytes
                                ? "proven lowest: the load"
                                : "proven lowest by search";
  fmt::print(stderr,
             "packed {} blocks: height {} B, load {} B, bound {} B, gap {:.3f} %, {}, {:.3f} s\n",
             packing.offsets.size(), packing.height_bytes, packing.load_bytes,
             packing.lower_bound_bytes, GapPercent(packing), proof, wall_s);
}

ExitCode RunPackCommand(const PackFlags& flags) {
  if (flags.input.empty() && flags.plan.empty()) {
    throw InputError("--input", "is missing, and so are --profile and --plan");
  }
  CheckWritable(flags.output, "--output");
  if (flags.is_json && flags.output == "-") {
    throw InputError("--json", "needs --output FILE: both would go to standard output");
  }
  const std::int64_t capacity_bytes =
      flags.capacity.empty() ? 0 : ParseBytes(flags.capacity, "--capacity");
  if (!flags.capacity.empty() && capacity_bytes == 0) {
    throw InputError("--capacity", "is zero");
  }
  const std::vector<PackingRow> rows = ReadRows(flags);
  const ScopedInterrupt interrupt;
  const auto begin = std::chrono::steady_clock::now();
  const Packing packing = Pack(BlocksOf(rows), {.goal_bytes = capacity_bytes,
                                                .step_limit = flags.work_limit,
                                                .time_limit_s = flags.time_limit_s,
                                                .stop = &interrupt.was_pressed(),
                                                .thread_count = flags.thread_count});
  const double wall_s =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (flags.is_json) PrintSummary(packing, wall_s);
  if (capacity_bytes > 0 && packing.height_bytes > capacity_bytes) {
    const bool is_proved = packing.lower_bound_bytes > capacity_bytes;
    fmt::print(stderr, "stint: --capacity: {} {}; the lowest packing found takes {}\n",
               is_proved ? "no packing fits" : "no packing was found that fits",
               ExactBytes(capacity_bytes), ExactBytes(packing.height_bytes));
    return is_proved ? ExitCode::kInfeasible : ExitCode::kUnknown;
  }
  WriteText(flags.output, FormatPackingCsv(rows, packing.offsets));
  if (!flags.is_json) SaySummary(packing, wall_s);
  return ExitCode::kDone;
}

}  // namespace

void AddPackCommand(CLI::App& app, ExitCode& exit_code) {
  const auto flags = std::make_shared<PackFlags>();
  CLI::App* command = app.add_subcommand("pack", "Give blocks with known lives their addresses");
  command->footer(kExamples);
  CLI::Option* const input =
      command->add_option("--input", flags->input, "Blocks as CSV; - is standard input")
          ->type_name("FILE");
  CLI::Option* const profile =
      command->add_option("--profile", flags->profile, "Or the profile of a plan")
          ->type_name("FILE")
          ->excludes(input);
  CLI::Option* const plan =
      command->add_option("--plan", flags->plan, "And the plan itself")->type_name("FILE");
  profile->needs(plan);
  plan->needs(profile);
  command
      ->add_option("--capacity", flags->capacity,
                   "Stop at this height (1048576B); else as low as can be")
      ->type_name("SIZE");
  command->add_option("--time-limit", flags->time_limit_s, "Wall clock")
      ->type_name("SECONDS")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command
      ->add_option("--work-limit", flags->work_limit,
                   "Steps of the search: the same result on any machine")
      ->type_name("COUNT")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--threads", flags->thread_count, "0: as many as there are cores")
      ->type_name("COUNT")
      ->check(CLI::Range(0, 256))
      ->capture_default_str();
  command->add_option("--output", flags->output, "CSV to write; - is standard output")
      ->type_name("FILE")
      ->capture_default_str();
  command->add_flag("--json", flags->is_json, "Print the summary as JSON");
  command->callback([flags, &exit_code] { exit_code = RunPackCommand(*flags); });
}

}  // namespace stint
