#include "planner/recompute_search.h"

#include <algorithm>
#include <cmath>

namespace stint {
namespace {

// Large values are tried more often, in this power of their bytes.
constexpr double kSizePower = 0.5;
// How often an input lives on or is recomputed against the rule, to get out of ruts.
constexpr double kContraryPart = 0.05;
// Candidates looked at for each drop: of more the best is too often the same.
constexpr int kSampleCount = 8;
constexpr int kSweepSampleCount = 48;
// Drops that a sweep may take, for each op; one that needs more goes round in circles.
constexpr std::int64_t kSweepDropsPerOp = 12;
// Longest chain of recomputed inputs.
constexpr int kDepthLimit = 60;
// Ops an estimate looks at.
constexpr int kEstimatedOpLimit = 24;
constexpr int kSweepEstimatedOpLimit = 120;
constexpr std::int64_t kTooLongNs = std::numeric_limits<std::int64_t>::max() / 16;
// Temperatures, as parts of the time of a typical recomputation.
constexpr double kHot = 1.5;
constexpr double kColdPerHot = 0.01;

}  // namespace

RecomputeSearch::RecomputeSearch(const FlatProgram& program, std::int32_t budget_units,
                                 std::uint64_t seed, const std::vector<Insertion>& start)
    : program_(program),
      budget_units_(budget_units),
      random_(seed),
      plan_(program),
      visits_(program.ops.size(), 0) {
  double weight_sum = 0;
  double weighted_ns = 0;
  for (std::size_t i = 0; i < program.values.size(); ++i) {
    const FlatValue& value = program.values[i];
    const FlatOp& creator = FlatOpOf(value.creator);
    if (value.units > 0 && creator.again_until > value.creator) {
      const double weight = std::pow(value.units, kSizePower);
      droppable_.push_back(static_cast<std::int32_t>(i));
      weight_sum += weight;
      weight_sums_.push_back(weight_sum);
      weighted_ns += weight * static_cast<double>(creator.duration_ns);
    }
  }
  hot_ns_ = weight_sum > 0 ? kHot * weighted_ns / weight_sum : 0;
  plan_.Load(start);
  if (Sweep()) {
    plan_.Commit();
    KeepIfBest();
  }
}

bool RecomputeSearch::Sweep() {
  constexpr double kDistancePowers[] = {0, 0.5, 1, 0.25};
  distance_power_ = kDistancePowers[random_.Below(std::size(kDistancePowers))];
  const std::int64_t drop_limit = kSweepDropsPerOp * (program_.op_count + 100);
  for (std::int64_t i = 0; i < drop_limit; ++i) {
    horizon_ = plan_.FirstStageAbove(budget_units_);
    if (horizon_ < 0) break;
    if (!DropAt(horizon_, kSweepSampleCount)) return false;
  }
  horizon_ = kNever;
  distance_power_ = 0;
  return Fits();
}

void RecomputeSearch::Run(std::int64_t move_count, double heat) {
  const double temperature_ns = hot_ns_ * std::pow(kColdPerHot, 1 - heat);
  for (std::int64_t i = 0; i < move_count && best_ns_ > 0; ++i) {
    limit_ns_ =
        plan_.overhead_ns() - static_cast<std::int64_t>(temperature_ns * std::log(random_.Unit()));
    if (TryMove()) {
      plan_.Commit();
      KeepIfBest();
    } else {
      plan_.Undo(0);
    }
  }
}

bool RecomputeSearch::TryMove() {
  const double kind = random_.Unit();
  if (plan_.insertions().empty() || kind < 0.2) {
    return TryInsert();
  }
  return kind < 0.75 ? TryRemove() : kind < 0.85 ? TryShift() : TryBurst();
}

bool RecomputeSearch::TryRemove() {
  plan_.Remove(SampleInsertion());
  return Repair(6, kSampleCount);
}

bool RecomputeSearch::TryInsert() {
  constexpr int kFillCount = 6;
  if (droppable_.empty()) {
    return false;
  }
  const std::int32_t value = SampleValue();
  const std::vector<Moment>& events = plan_.EventsOf(value);
  if (events.size() < 2) {
    return false;
  }
  const std::size_t i = 1 + random_.Below(events.size() - 1);
  const std::int32_t from_stage = StageOf(events[i - 1]);
  const Insertion insertion{.stage = StageOf(events[i]), .op = ValueOf(value).creator};
  if (plan_.Makes(value, events[i]) || from_stage == insertion.stage ||
      insertion.stage > ValueOf(value).made_until || !plan_.CanInsert(insertion)) {
    return false;
  }
  InsertWithInputs(insertion, 0);
  for (int i_fill = 0; i_fill < kFillCount && !plan_.insertions().empty(); ++i_fill) {
    const Insertion other = SampleInsertion();
    if (other.op == insertion.op || other.stage <= from_stage) {
      continue;
    }
    const std::size_t mark = plan_.Mark();
    plan_.Remove(other);
    if (!Fits()) {
      plan_.Undo(mark);
    }
  }
  return Repair(4, kSampleCount);
}

bool RecomputeSearch::TryShift() {
  const Insertion old = SampleInsertion();
  const Moment moment = MomentOf(old.stage, old.op);
  // Its outputs must still come after their reads of before and in time for those to come.
  std::int32_t first_stage = old.op + 1;
  std::int32_t last_stage = FlatOpOf(old.op).again_until;
  for (const std::int32_t value : program_.MadeBy(old.op)) {
    const std::vector<Moment>& events = plan_.EventsOf(value);
    const auto here = std::lower_bound(events.begin(), events.end(), moment);
    if (here == events.end() || *here != moment) {
      continue;
    }
    first_stage = std::max(first_stage, StageOf(*(here - 1)));
    if (here + 1 != events.end()) {
      last_stage = std::min(last_stage, StageOf(*(here + 1)));
    }
  }
  if (first_stage > last_stage) {
    return false;
  }
  Insertion moved = old;
  const std::span<const std::int32_t> reads = program_.ReadsOf(old.op);
  if (!reads.empty() && random_.Below(2) == 0) {
    // Where one of its inputs is used anyway.
    const std::vector<Moment>& events = plan_.EventsOf(reads[random_.Below(reads.size())]);
    moved.stage = StageOf(events[random_.Below(events.size())]);
  } else {
    const auto stage_count = static_cast<std::size_t>(last_stage - first_stage) + 1;
    moved.stage = first_stage + static_cast<std::int32_t>(random_.Below(stage_count));
  }
  if (moved.stage < first_stage || moved.stage > last_stage || !plan_.CanInsert(moved)) {
    return false;
  }
  plan_.Insert(moved);
  if (plan_.Has(old)) {
    plan_.Remove(old);
  }
  if (plan_.Has(moved)) {
    BringInputs(moved, 0);
  }
  return Repair(4, kSampleCount);
}

bool RecomputeSearch::TryBurst() {
  const Insertion center = SampleInsertion();
  const std::size_t count = 2 + random_.Below(6);
  const auto reach = static_cast<std::int32_t>(2 * count);
  const bool is_by_stage = random_.Below(2) == 0;
  std::vector<Insertion> near{};
  for (const Insertion& other : plan_.insertions()) {
    const std::int32_t distance = is_by_stage ? other.stage - center.stage : other.op - center.op;
    if (-reach <= distance && distance <= reach) {
      near.push_back(other);
    }
  }
  for (std::size_t i = 0; i < count && !near.empty(); ++i) {
    std::swap(near[random_.Below(near.size())], near.back());
    if (plan_.Has(near.back())) {  // It may have become useless and be gone.
      plan_.Remove(near.back());
    }
    near.pop_back();
  }
  return Repair(static_cast<int>(3 * count), kSampleCount);
}

void RecomputeSearch::InsertWithInputs(Insertion insertion, int depth) {
  plan_.Insert(insertion);
  BringInputs(insertion, depth);
}

/// Recomputes those inputs of `insertion`, which is there, that do not fit until then.
void RecomputeSearch::BringInputs(Insertion insertion, int depth) {
  const Moment moment = MomentOf(insertion.stage, insertion.op);
  for (const std::int32_t value : program_.ReadsOf(insertion.op)) {
    const std::vector<Moment>& events = plan_.EventsOf(value);
    const auto here = std::lower_bound(events.begin(), events.end(), moment);
    const std::int32_t from_stage = StageOf(*(here - 1));
    const bool lives_on = here + 1 != events.end() && !plan_.Makes(value, *(here + 1));
    if (lives_on || from_stage == insertion.stage) {
      continue;
    }
    bool is_brought = !FitsBetween(from_stage + 1, insertion.stage, 0);
    if (!IsSweeping() && random_.Unit() < kContraryPart) {
      is_brought = !is_brought;
    }
    const Insertion input{.stage = insertion.stage, .op = ValueOf(value).creator};
    if (is_brought && depth < kDepthLimit && input.stage <= ValueOf(value).made_until &&
        plan_.CanInsert(input)) {
      InsertWithInputs(input, depth + 1);
    }
  }
}

/// Whether `units` more fit in the stages from `first` to `last`, as far as they count.
bool RecomputeSearch::FitsBetween(std::int32_t first, std::int32_t last, std::int32_t units) const {
  last = std::min(last, horizon_);
  return first > last || plan_.PeakUnits(first, last) + units <= budget_units_;
}

/// What InsertWithInputs would take, at most `ops_left` ops of it.
std::int64_t RecomputeSearch::EstimateNs(Insertion insertion, int& ops_left) {
  std::int64_t sum_ns = FlatOpOf(insertion.op).duration_ns;
  const Moment moment = MomentOf(insertion.stage, insertion.op);
  for (const std::int32_t read : program_.ReadsOf(insertion.op)) {
    const std::vector<Moment>& events = plan_.EventsOf(read);
    const auto next = std::lower_bound(events.begin(), events.end(), moment);
    const bool is_live = next != events.end() && !plan_.Makes(read, *next);
    const std::int32_t from_stage = StageOf(*(next - 1));
    const FlatValue& value = ValueOf(read);
    std::int64_t& visit = visits_[static_cast<std::size_t>(value.creator)];
    if (is_live || from_stage == insertion.stage || visit == visit_ ||
        FitsBetween(from_stage + 1, insertion.stage, value.units)) {
      continue;
    }
    visit = visit_;
    if (--ops_left <= 0 || insertion.stage > FlatOpOf(value.creator).again_until ||
        insertion.stage > value.made_until) {
      return kTooLongNs;
    }
    sum_ns += EstimateNs({.stage = insertion.stage, .op = value.creator}, ops_left);
    if (sum_ns >= kTooLongNs) {
      return kTooLongNs;
    }
  }
  return sum_ns;
}

bool RecomputeSearch::Repair(int drop_limit, int sample_count) {
  for (int i = 0; !Fits(); ++i) {
    if (i >= drop_limit || plan_.overhead_ns() > limit_ns_ ||
        !DropAt(plan_.PeakStage(), sample_count)) {
      return false;
    }
  }
  return plan_.overhead_ns() <= limit_ns_;
}

/// Drops the value that is cheapest to have again for its size, of a sample of those live across
/// `stage`.
bool RecomputeSearch::DropAt(std::int32_t stage, int sample_count) {
  constexpr int kTriesPerSample = 12;  // Most values are not live here.
  double best_score = std::numeric_limits<double>::infinity();
  Insertion best{};
  int found_count = 0;
  for (int i = 0; i < kTriesPerSample * sample_count && found_count < sample_count; ++i) {
    if (droppable_.empty()) {
      return false;
    }
    const std::int32_t value = SampleValue();
    const std::vector<Moment>& events = plan_.EventsOf(value);
    const auto next = std::lower_bound(events.begin(), events.end(), MomentOf(stage + 1, 0));
    if (next == events.begin() || next == events.end() || plan_.Makes(value, *next)) {
      continue;
    }
    const Insertion insertion{.stage = StageOf(*next), .op = ValueOf(value).creator};
    if (insertion.stage > ValueOf(value).made_until || !plan_.CanInsert(insertion)) {
      continue;
    }
    ++found_count;
    const double score = ScoreOf(value, insertion);
    if (score < best_score) {
      best_score = score;
      best = insertion;
    }
  }
  if (best_score == std::numeric_limits<double>::infinity()) {
    return false;
  }
  InsertWithInputs(best, 0);
  return true;
}

double RecomputeSearch::ScoreOf(std::int32_t value, Insertion insertion) {
  ++visit_;
  int ops_left = IsSweeping() ? kSweepEstimatedOpLimit : kEstimatedOpLimit;
  const std::int64_t estimate_ns = EstimateNs(insertion, ops_left);
  if (estimate_ns >= kTooLongNs) {
    return std::numeric_limits<double>::infinity();
  }
  // More than is missing is worth nothing here.
  const std::int32_t missing_units =
      (IsSweeping() ? plan_.PeakUnits(horizon_, horizon_) : plan_.peak_units()) - budget_units_;
  double gain_units = std::min(ValueOf(value).units, std::max(missing_units, 1));
  if (IsSweeping()) {
    // What goes here stays away for long, and makes room in the stages to come.
    gain_units = ValueOf(value).units * std::pow(insertion.stage - horizon_, distance_power_);
  }
  constexpr double kNoise = 0.5;
  return static_cast<double>(estimate_ns + 1) / gain_units *
         std::exp(kNoise * (random_.Unit() - 0.5));
}

std::int32_t RecomputeSearch::SampleValue() {
  const double place = random_.Unit() * weight_sums_.back();
  const auto found = std::upper_bound(weight_sums_.begin(), weight_sums_.end(), place);
  const auto index = static_cast<std::size_t>(found - weight_sums_.begin());
  return droppable_[std::min(index, droppable_.size() - 1)];
}

const Insertion& RecomputeSearch::SampleInsertion() {
  return plan_.insertions()[random_.Below(plan_.insertions().size())];
}

void RecomputeSearch::KeepIfBest() {
  if (plan_.overhead_ns() < best_ns_) {
    best_ns_ = plan_.overhead_ns();
    best_ = plan_.insertions();
  }
}

}  // namespace stint
