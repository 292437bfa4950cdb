#include "planner/cut_guide.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <utility>

#include "ir/units.h"
#include "planner/peak_cut.h"

namespace stint {
namespace {

// A round whose program has more columns than this takes longer than it helps.
constexpr std::int64_t kColumnLimit = 25000;
constexpr std::size_t kCutsPerRound = 6;
// The checker takes 64 cuts at most.
constexpr int kRoundLimit = 10;
// Of the time that is left, what the first cut may take: several prove more.
constexpr double kFirstRoundPart = 0.2;
// An op is tight whose first run leaves less than the rest of a plan's peak free.
constexpr double kTight = 0.98;
// Work of one column, in steps of the other solvers: a guess, so that work limits end.
constexpr std::int64_t kStepsPerColumn = 100;

/// By op id.
std::vector<std::int32_t> StepsOf(const Program& program) {
  std::vector<std::int32_t> steps(program.ops.size());
  for (std::int32_t step = 0; step < program.op_count; ++step) {
    steps[Index(program.ops[static_cast<std::size_t>(step)].id)] = step;
  }
  return steps;
}

/// By step of `flat`: the first stage after `begin` and up to `end` in which something reads what
/// the op makes; kNever if none does. Reads of `extra_stage` count, too: by value, kNever if none.
std::int32_t FirstReader(const FlatProgram& flat,
                         const std::vector<std::vector<std::int32_t>>& readers,
                         const std::vector<std::int32_t>& extra_stage, std::int32_t op,
                         std::int32_t begin, std::int32_t end) {
  std::int32_t first = kNever;
  for (const std::int32_t value : flat.MadeBy(op)) {
    const std::vector<std::int32_t>& stages = readers[static_cast<std::size_t>(value)];
    const auto next = std::upper_bound(stages.begin(), stages.end(), begin);
    if (next != stages.end() && *next <= end) first = std::min(first, *next);
    first = std::min(first, extra_stage[static_cast<std::size_t>(value)]);
  }
  return first;
}

}  // namespace

std::vector<Insertion> InsertionsOf(const Program& program, const FlatProgram& flat,
                                    const std::vector<CutChoice>& choices) {
  const std::vector<std::int32_t> step_of = StepsOf(program);
  std::vector<std::vector<std::int32_t>> readers(flat.values.size());
  for (std::int32_t op = 0; op <= flat.op_count; ++op) {
    for (const std::int32_t value : flat.ReadsOf(op)) {
      readers[static_cast<std::size_t>(value)].push_back(op);
    }
  }
  std::vector<Insertion> insertions{};
  for (std::size_t i = 0; i < choices.size(); ++i) {
    const std::int32_t begin = step_of[Index(choices[i].cut)];
    const std::int32_t end =
        i + 1 < choices.size() ? step_of[Index(choices[i + 1].cut)] : flat.op_count;
    std::vector<std::int32_t> again{};
    for (const OpId op : choices[i].runs) again.push_back(step_of[Index(op)]);
    std::sort(again.rbegin(), again.rend());
    std::vector<std::int32_t> read_again(flat.values.size(), kNever);
    for (const std::int32_t op : again) {
      const std::int32_t stage = FirstReader(flat, readers, read_again, op, begin, end);
      if (stage == kNever || op >= stage) continue;
      insertions.push_back({.stage = stage, .op = op});
      for (const std::int32_t value : flat.ReadsOf(op)) {
        std::int32_t& first = read_again[static_cast<std::size_t>(value)];
        first = std::min(first, stage);
      }
    }
  }
  return insertions;
}

std::vector<CutChoice> PeakChoice(const Program& recorded, std::int64_t budget_bytes) {
  const std::vector<OpId> cuts = SpreadCuts(recorded, budget_bytes, 1);
  if (cuts.empty()) return {};
  const PeakCut cut = CutAt(recorded, cuts.front(), budget_bytes);
  if (!cut.is_feasible) return {};
  CutChoice choice{.cut = cut.op};
  for (std::size_t i = 0; i < cut.is_kept.size(); ++i) {
    if (cut.is_kept[i]) choice.kept.push_back(BufferId{static_cast<std::int32_t>(i)});
  }
  for (std::size_t i = 0; i < cut.runs_again.size(); ++i) {
    if (cut.runs_again[i]) choice.runs.push_back(OpId{static_cast<std::int32_t>(i)});
  }
  return {choice};
}

std::vector<CutChoice> ChoicesOf(const Program& program, const FlatProgram& flat,
                                 const std::vector<Insertion>& insertions,
                                 const std::vector<OpId>& cuts) {
  InsertionPlan plan(flat);
  plan.Load(insertions);
  const std::vector<std::int32_t> steps = StepsOf(program);
  std::vector<std::int32_t> begins{};
  begins.reserve(cuts.size());
  for (const OpId cut : cuts) begins.push_back(steps[Index(cut)]);
  std::vector<CutChoice> choices(cuts.size());
  for (std::size_t i = 0; i < cuts.size(); ++i) {
    choices[i].cut = cuts[i];
    const Moment now = MomentOf(begins[i], begins[i]);
    for (std::size_t value = 0; value < flat.values.size(); ++value) {
      const std::vector<Moment>& events = plan.EventsOf(static_cast<std::int32_t>(value));
      const auto next = std::upper_bound(events.begin(), events.end(), now);
      const bool is_made = next != events.begin() && *(next - 1) != now;
      const bool is_read =
          next != events.end() && !plan.Makes(static_cast<std::int32_t>(value), *next);
      if (is_made && is_read) choices[i].kept.push_back(flat.values[value].buffer);
    }
  }
  for (const Insertion& insertion : plan.insertions()) {
    const auto next = std::lower_bound(begins.begin(), begins.end(), insertion.stage);
    if (next == begins.begin()) continue;
    const auto cut = static_cast<std::size_t>(next - begins.begin()) - 1;
    choices[cut].runs.push_back(program.ops[static_cast<std::size_t>(insertion.op)].id);
  }
  return choices;
}

CutRounds::CutRounds(const Program& recorded, const Program& program, const FlatProgram& flat,
                     std::int64_t budget_bytes)
    : recorded_(recorded),
      program_(program),
      flat_(flat),
      budget_bytes_(budget_bytes),
      cuts_(SpreadCuts(recorded, budget_bytes, 1)),
      is_over_(cuts_.empty()) {}

std::int32_t CutRounds::BudgetUnits() const {
  const std::int64_t units = (budget_bytes_ - program_.persistent_bytes) / kAlignmentBytes;
  return static_cast<std::int32_t>(std::min(units, std::int64_t{kNever}));
}

void CutRounds::AddCut(std::int32_t step) {
  const OpId op = program_.ops[static_cast<std::size_t>(step)].id;
  const auto place = std::ranges::lower_bound(cuts_, op);
  if (place == cuts_.end() || *place != op) cuts_.insert(place, op);
}

void CutRounds::AddViolated(std::size_t count) {
  if (choices_.empty()) return;
  InsertionPlan plan(flat_);
  plan.Load(InsertionsOf(program_, flat_, choices_));
  struct Violation {
    std::int32_t units = 0;
    std::int32_t step = 0;
  };
  // The worst of each straight run of ops that pass the budget, so that cuts lie apart.
  std::vector<Violation> worst{};
  bool is_inside = false;
  for (std::int32_t step = 0; step < program_.op_count; ++step) {
    if (program_.ops[static_cast<std::size_t>(step)].creates.empty()) continue;
    const std::int32_t units = plan.FirstRunUnits(step) - BudgetUnits();
    if (units > 0 && (!is_inside || units > worst.back().units)) {
      if (is_inside) worst.pop_back();
      worst.push_back({.units = units, .step = step});
    }
    is_inside = units > 0;
  }
  std::ranges::stable_sort(worst, std::greater<>(), &Violation::units);
  for (std::size_t i = 0; i < std::min(worst.size(), count); ++i) AddCut(worst[i].step);
}

void CutRounds::AddTight(const std::vector<Insertion>& best, std::size_t count) {
  InsertionPlan plan(flat_);
  plan.Load(best);
  std::vector<std::int32_t> tight{};
  for (std::int32_t step = 0; step < program_.op_count; ++step) {
    const ProgramOp& op = program_.ops[static_cast<std::size_t>(step)];
    const bool is_tight = plan.FirstRunUnits(step) >= kTight * BudgetUnits();
    if (is_tight && !op.creates.empty() && !std::ranges::binary_search(cuts_, op.id)) {
      tight.push_back(step);
    }
  }
  count = std::min(tight.size(), count);
  for (std::size_t i = 0; i < count; ++i) AddCut(tight[tight.size() * i / count]);
}

CutRound CutRounds::Next(FewCutOptions options, const std::vector<Insertion>& best) {
  bool has_new_cut = true;
  if (round_count_++ > 0) {
    const std::vector<OpId> before = cuts_;
    for (std::size_t count = kCutsPerRound; count > 0; count /= 2) {
      cuts_ = before;
      AddViolated(count);
      if (cuts_.size() == before.size()) AddTight(best, count);
      if (ColumnCount(recorded_, cuts_) <= kColumnLimit) break;
      cuts_ = before;
    }
    has_new_cut = cuts_.size() > before.size();
  }
  const std::int64_t column_count = ColumnCount(recorded_, cuts_);
  // The same cuts once more, if there was too little time for them.
  const bool is_done = !has_new_cut && (is_solved_ || options.node_limit > 0);
  is_over_ = is_over_ || is_done || round_count_ == kRoundLimit || column_count > kColumnLimit;
  if (is_over_) return {};
  CutRound round{.cuts = cuts_, .step_count = kStepsPerColumn * column_count};
  options.is_whole = true;
  if (round_count_ == 1) options.time_limit_s *= kFirstRoundPart;
  // Where updates come early, cuts may come in another order than that of the plan.
  const std::vector<std::int32_t> steps = StepsOf(program_);
  const bool has_plan_order =
      std::ranges::is_sorted(cuts_, {}, [&](OpId cut) { return steps[Index(cut)]; });
  if (has_plan_order) options.start = ChoicesOf(program_, flat_, best, cuts_);
  FewCutBound bound = BoundByCuts(recorded_, cuts_, budget_bytes_, options);
  choices_ = bound.choices;
  round.recompute_ns = bound.recompute_ns;
  round.choices = std::move(bound.choices);
  round.failure = std::move(bound.failure);
  is_over_ = bound.status == LpStatus::kFailed;
  is_solved_ = bound.status == LpStatus::kOptimal;
  const bool is_stopped = options.stop != nullptr && *options.stop;
  if (cuts_.size() > 1 && !is_over_ && !is_stopped) {
    // Fractions prove less, but in integers; with one cut there is a proof already.
    options.is_whole = false;
    options.method = LpMethod::kInteriorPoint;
    round.certificate = BoundByCuts(recorded_, cuts_, budget_bytes_, options).certificate;
  }
  return round;
}

CutThread::CutThread(CutRounds& rounds, const FewCutOptions& options, double time_limit_s,
                     std::vector<Insertion> best)
    : best_(std::move(best)),
      thread_([this, &rounds, each = FewCutOptions(options), time_limit_s]() mutable {
        using Clock = std::chrono::steady_clock;
        const Clock::time_point begin = Clock::now();
        each.stop = &stop_;
        while (rounds.HasNext() && !stop_) {
          each.time_limit_s =
              time_limit_s - std::chrono::duration<double>(Clock::now() - begin).count();
          if (each.time_limit_s <= 0) break;
          std::vector<Insertion> now_best{};
          {
            const std::lock_guard lock(mutex_);
            now_best = best_;
          }
          CutRound round = rounds.Next(each, now_best);
          const std::lock_guard lock(mutex_);
          ended_.push_back(std::move(round));
        }
        is_running_ = false;
      }) {}

CutThread::~CutThread() { stop_ = true; }

void CutThread::Suggest(std::vector<Insertion> best) {
  const std::lock_guard lock(mutex_);
  best_ = std::move(best);
}

std::vector<CutRound> CutThread::Finish() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
  return Take();
}

std::vector<CutRound> CutThread::Take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(ended_, {});
}

}  // namespace stint
