// The staged program of Checkmate: stage t ends with the first run of op t.
//
//     R(t, i)     op i runs in stage t; R(t, t) = 1
//     S(t, v)     v is kept into stage t
//     U(t, k)     memory right before op k would run in stage t
//     F(t, v, k)  v is freed right after op k, its maker or a reader, ran in stage t
//
//     R(t, i) <= S(t, v) + R(t, maker of v)             for each v that i reads
//     S(t + 1, v) <= S(t, v) + R(t, maker of v)
//     U(t, k) + requests of k * R(t, k) <= budget
//     U(t, k + 1) = U(t, k) + made by k * R(t, k) - sum of F(t, v, k)
//     F(t, v, k) <= R(t, k), 1 - S(t + 1, v), 1 - R(t, j) for each later reader j
//
// As published, except that the sum of what hinders freeing is a row for each hindrance here: that
// is tighter, and F need not be whole. Only R and S of whole solutions are used: lifetimes follow
// from the runs (planner/insertion_plan.h).
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

#include "planner/linear_program.h"
#include "planner/rivals/rival_run.h"
#include "planner/rivals/rivals.h"

namespace stint {
namespace {

using Clock = std::chrono::steady_clock;

// Larger programs take HiGHS longer than anyone waits: about 110 ops.
constexpr std::int64_t kColumnLimit = 40000;
// Parts of the budget that the relaxations to be rounded get.
constexpr double kRoundedParts[] = {1.0, 0.9, 0.8, 0.6};
// Part of the time that each of them may take.
constexpr double kRoundingPart = 0.1;
// What HiGHS does counts as so many steps for each entry of the matrix: to solve a relaxation or
// visit a node, and before the first node.
constexpr std::int64_t kStepsPerNode = 4;
constexpr std::int64_t kStepsAtRoot = 32;
constexpr double kTotalCost = 1000;  // Of every op once.
constexpr std::int32_t kNoColumn = -1;

/// The program, and where its columns are.
class StagedProgram {
 public:
  StagedProgram(const FlatProgram& flat, std::int32_t budget_units, bool is_whole)
      : flat_(flat), budget_units_(std::max(budget_units, 1)), is_whole_(is_whole) {
    readers_.resize(flat.values.size());
    for (std::int32_t op = 0; op <= flat.op_count; ++op) {
      total_ns_ += flat.ops[static_cast<std::size_t>(op)].duration_ns;
      for (const std::int32_t value : flat.ReadsOf(op)) {
        readers_[static_cast<std::size_t>(value)].push_back(op);
      }
    }
    AddColumns();
    for (std::int32_t stage = 0; stage <= flat.op_count; ++stage) {
      AddPresence(stage);
      AddMemory(stage);
    }
  }

  const LinearProgram& lp() const { return lp_; }

  /// How many columns a program has, before it is built.
  static std::int64_t CountColumns(const FlatProgram& flat) {
    const std::int64_t stage_count = flat.op_count + 1;
    const auto touches = static_cast<std::int64_t>(flat.reads.size() + flat.makes.size());
    return stage_count *
           (2 * stage_count + static_cast<std::int64_t>(flat.values.size()) + touches) / 2;
  }

  /// The runs of a whole solution besides the first ones.
  std::vector<Insertion> RunsOf(const std::vector<double>& values) const {
    std::vector<Insertion> runs{};
    for (std::int32_t stage = 0; stage <= flat_.op_count; ++stage) {
      for (std::int32_t op = 0; op < stage; ++op) {
        if (IsSet(values, RunColumn(stage, op))) runs.push_back({.stage = stage, .op = op});
      }
    }
    return runs;
  }

  /// Two-phase rounding of the paper: what is kept is rounded, what runs again follows from it.
  std::vector<Insertion> RoundedRunsOf(const std::vector<double>& values) const {
    std::vector<Insertion> runs{};
    const auto value_count = static_cast<std::int32_t>(flat_.values.size());
    std::vector<bool> is_there(flat_.values.size(), false);
    std::vector<std::int32_t> missing{};
    for (std::int32_t stage = 0; stage <= flat_.op_count; ++stage) {
      for (std::int32_t value = 0; value < value_count; ++value) {
        const auto index = static_cast<std::size_t>(value);
        is_there[index] = is_there[index] && IsSet(values, KeepColumn(stage, value));
      }
      const auto want = [&](std::int32_t op) {
        for (const std::int32_t value : flat_.ReadsOf(op)) {
          if (!is_there[static_cast<std::size_t>(value)]) missing.push_back(value);
        }
      };
      want(stage);
      for (std::int32_t value = 0; value < value_count; ++value) {
        const bool is_kept_next =
            stage < flat_.op_count && IsSet(values, KeepColumn(stage + 1, value));
        if (is_kept_next && !is_there[static_cast<std::size_t>(value)]) missing.push_back(value);
      }
      while (!missing.empty()) {
        const std::int32_t value = missing.back();
        missing.pop_back();
        if (is_there[static_cast<std::size_t>(value)]) continue;
        is_there[static_cast<std::size_t>(value)] = true;
        const std::int32_t maker = flat_.values[static_cast<std::size_t>(value)].creator;
        if (maker == stage) continue;
        runs.push_back({.stage = stage, .op = maker});
        want(maker);
      }
      for (const std::int32_t value : flat_.MadeBy(stage)) {
        is_there[static_cast<std::size_t>(value)] = true;
      }
    }
    std::ranges::sort(runs);
    const auto copies = std::ranges::unique(runs);
    runs.erase(copies.begin(), copies.end());
    return runs;
  }

 private:
  static bool IsSet(const std::vector<double>& values, std::int32_t column) {
    return column != kNoColumn && values[static_cast<std::size_t>(column)] > 0.5;
  }
  double Share(std::int64_t units) const {
    return static_cast<double>(units) / static_cast<double>(budget_units_);
  }
  const FlatValue& ValueOf(std::int32_t value) const {
    return flat_.values[static_cast<std::size_t>(value)];
  }
  std::int32_t RunColumn(std::int32_t stage, std::int32_t op) const {
    return runs_[static_cast<std::size_t>(stage)][static_cast<std::size_t>(op)];
  }
  std::int32_t KeepColumn(std::int32_t stage, std::int32_t value) const {
    return keeps_[static_cast<std::size_t>(stage)][static_cast<std::size_t>(value)];
  }
  bool IsMadeIn(std::int32_t stage, std::int32_t value) const {
    return stage == ValueOf(value).creator || stage <= ValueOf(value).made_until;
  }

  void AddColumns() {
    const std::int32_t op_count = flat_.op_count;
    for (std::int32_t stage = 0; stage <= op_count; ++stage) {
      std::vector<std::int32_t>& runs = runs_.emplace_back();
      for (std::int32_t op = 0; op <= stage; ++op) {
        const FlatOp& facts = flat_.ops[static_cast<std::size_t>(op)];
        const double cost = op == stage
                                ? 0
                                : kTotalCost * static_cast<double>(facts.duration_ns) /
                                      static_cast<double>(std::max<std::int64_t>(total_ns_, 1));
        const bool can_run = op == stage || stage <= facts.again_until;
        runs.push_back(can_run ? lp_.AddColumn(cost, op == stage ? 1 : 0, 1, is_whole_)
                               : kNoColumn);
      }
      std::vector<std::int32_t>& keeps = keeps_.emplace_back();
      for (const FlatValue& value : flat_.values) {
        keeps.push_back(value.creator < stage ? lp_.AddColumn(0, 0, 1, is_whole_) : kNoColumn);
      }
    }
  }

  void AddEntryIf(std::int32_t column, double value) {
    if (column != kNoColumn) lp_.AddEntry(column, value);
  }

  /// What an op reads, and what is kept, is there or is made in the stage.
  void AddPresence(std::int32_t stage) {
    const auto is_there = [&](std::int32_t value) {
      AddEntryIf(KeepColumn(stage, value), 1);
      if (IsMadeIn(stage, value)) AddEntryIf(RunColumn(stage, ValueOf(value).creator), 1);
    };
    for (std::int32_t op = 0; op <= stage; ++op) {
      if (RunColumn(stage, op) == kNoColumn) continue;
      for (const std::int32_t value : flat_.ReadsOf(op)) {
        lp_.AddRow(0, kNoLimit);
        is_there(value);
        lp_.AddEntry(RunColumn(stage, op), -1);
      }
    }
    if (stage == flat_.op_count) return;
    for (std::int32_t value = 0; value < static_cast<std::int32_t>(flat_.values.size()); ++value) {
      if (ValueOf(value).creator >= stage) continue;
      lp_.AddRow(0, kNoLimit);
      is_there(value);
      lp_.AddEntry(KeepColumn(stage + 1, value), -1);
    }
  }

  void AddMemory(std::int32_t stage) {
    std::int32_t before = lp_.AddColumn(0, 0, 1);
    lp_.AddRow(0, 0);
    lp_.AddEntry(before, -1);
    for (std::int32_t value = 0; value < static_cast<std::int32_t>(flat_.values.size()); ++value) {
      AddEntryIf(KeepColumn(stage, value), Share(ValueOf(value).units));
    }
    for (std::int32_t op = 0; op <= stage; ++op) {
      const std::int32_t run = RunColumn(stage, op);
      if (run == kNoColumn) continue;
      lp_.AddRow(-kNoLimit, 1);
      lp_.AddEntry(before, 1);
      lp_.AddEntry(run, Share(flat_.ops[static_cast<std::size_t>(op)].script_units));
      std::vector<std::int32_t> frees{};
      std::vector<double> shares{};
      std::int64_t made_units = 0;
      const auto add_free = [&](std::int32_t value) {
        frees.push_back(AddFree(stage, value, op, run));
        shares.push_back(Share(ValueOf(value).units));
      };
      for (const std::int32_t value : flat_.ReadsOf(op)) add_free(value);
      for (const std::int32_t value : flat_.MadeBy(op)) {
        if (!IsMadeIn(stage, value)) continue;
        made_units += ValueOf(value).units;
        add_free(value);
      }
      const std::int32_t after = lp_.AddColumn(0, 0, 1);
      lp_.AddRow(0, 0);
      lp_.AddEntry(before, 1);
      lp_.AddEntry(after, -1);
      lp_.AddEntry(run, Share(made_units));
      for (std::size_t i = 0; i < frees.size(); ++i) lp_.AddEntry(frees[i], -shares[i]);
      before = after;
    }
  }

  /// A column for freeing `value` after `op`, and the rows of what hinders it.
  std::int32_t AddFree(std::int32_t stage, std::int32_t value, std::int32_t op, std::int32_t run) {
    const std::int32_t column = lp_.AddColumn(0, 0, 1);
    lp_.AddRow(-kNoLimit, 0);
    lp_.AddEntry(column, 1);
    lp_.AddEntry(run, -1);
    const auto hinder = [&](std::int32_t by) {
      if (by == kNoColumn) return;
      lp_.AddRow(-kNoLimit, 1);
      lp_.AddEntry(column, 1);
      lp_.AddEntry(by, 1);
    };
    if (stage < flat_.op_count) hinder(KeepColumn(stage + 1, value));
    for (const std::int32_t reader : readers_[static_cast<std::size_t>(value)]) {
      if (reader > op && reader <= stage) hinder(RunColumn(stage, reader));
    }
    return column;
  }

  const FlatProgram& flat_;
  std::int32_t budget_units_ = 0;
  bool is_whole_ = false;
  std::int64_t total_ns_ = 0;                         // Of every op once.
  std::vector<std::vector<std::int32_t>> readers_{};  // By value: ops, ascending.
  std::vector<std::vector<std::int32_t>> runs_{};     // Columns by stage and op.
  std::vector<std::vector<std::int32_t>> keeps_{};    // Columns by stage and value.
  LinearProgram lp_{};
};

std::int64_t EntryCount(const StagedProgram& staged) {
  return std::ssize(staged.lp().entry_columns);
}

class CheckmateSolver : public Solver {
 public:
  std::string Name() const override { return "checkmate"; }

  SolveResult Solve(const Problem& problem, const SolveOptions& options) const override {
    const Clock::time_point begin = Clock::now();
    RivalRun run(problem, options, "staged program");
    if (run.IsOverWhenFlat()) return run.Take();
    const std::int64_t column_count = StagedProgram::CountColumns(run.flat());
    if (!HasHighs() || column_count > kColumnLimit) {
      run.AddPart(!HasHighs() ? "staged program: " + WhyNoHighs()
                              : fmt::format("staged program: {} columns are too many, {} are the "
                                            "limit",
                                            column_count, kColumnLimit));
      return run.Take();
    }
    const auto time_left_s = [&] {
      const double used_s = std::chrono::duration<double>(Clock::now() - begin).count();
      return std::max(options.time_limit_s - used_s, 0.01);
    };
    LpOptions lp_options{.seed = static_cast<std::int32_t>(options.seed), .stop = options.stop};
    for (const double part : kRoundedParts) {
      if (run.IsOver()) return run.Take();
      const auto budget_units =
          static_cast<std::int32_t>(part * static_cast<double>(run.budget_units()));
      const StagedProgram staged(run.flat(), budget_units, false);
      lp_options.time_limit_s = std::min(kRoundingPart * options.time_limit_s, time_left_s());
      run.work().Add(kStepsPerNode * EntryCount(staged));
      const LpResult result = SolveLinearProgram(staged.lp(), lp_options);
      if (!result.values.empty()) run.Offer(staged.RoundedRunsOf(result.values));
    }
    if (run.IsOver()) return run.Take();
    const StagedProgram staged(run.flat(), run.budget_units(), true);
    lp_options.time_limit_s = time_left_s();
    run.work().Add(kStepsAtRoot * EntryCount(staged));
    if (run.IsOver()) return run.Take();
    if (options.work_limit > 0) {
      const std::int64_t steps_left = options.work_limit - run.work().step_count();
      lp_options.node_limit =
          std::max(steps_left / (kStepsPerNode * EntryCount(staged) + 1), std::int64_t{1});
    }
    run.work().Add(kStepsPerNode * EntryCount(staged) * lp_options.node_limit);
    const LpResult result = SolveLinearProgram(staged.lp(), lp_options);
    if (!result.failure.empty()) run.AddPart("staged program: " + result.failure);
    if (!result.values.empty()) run.Offer(staged.RunsOf(result.values));
    return run.Take();
  }
};

}  // namespace

std::unique_ptr<Solver> MakeCheckmateSolver() { return std::make_unique<CheckmateSolver>(); }

}  // namespace stint
