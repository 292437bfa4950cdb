#include "planner/insertion_plan.h"

#include <algorithm>

#include "ir/errors.h"
#include "planner/schedule.h"

namespace stint {

InsertionPlan::InsertionPlan(const FlatProgram& program)
    : program_(program),
      stages_(program.ops.size()),
      events_(program.values.size()),
      stage_units_(program.ops.size(), 0),
      profile_(program.op_count + 1) {
  for (std::int32_t op = 0; op <= program.op_count; ++op) {
    stages_[static_cast<std::size_t>(op)].push_back({.op = op});
    for (const std::int32_t value : program.MadeBy(op)) {
      events_[static_cast<std::size_t>(value)].push_back(MomentOf(op, op));
    }
    for (const std::int32_t value : program.ReadsOf(op)) {
      events_[static_cast<std::size_t>(value)].push_back(MomentOf(op, op));
    }
  }
  for (std::size_t value = 0; value < events_.size(); ++value) {
    if (events_[value].size() > 1) {
      AddPresence(events_[value].front(), events_[value].back(), program.values[value].units);
    }
  }
  for (std::int32_t stage = 0; stage <= program.op_count; ++stage) {
    Refresh(stage);
  }
  touched_stages_.clear();
}

bool InsertionPlan::Has(Insertion insertion) const {
  const std::vector<Run>& runs = stages_[static_cast<std::size_t>(insertion.stage)];
  return std::any_of(runs.begin(), runs.end(),
                     [&](const Run& run) { return run.op == insertion.op; });
}

bool InsertionPlan::CanInsert(Insertion insertion) const {
  return insertion.op < insertion.stage &&
         insertion.stage <= program_.ops[static_cast<std::size_t>(insertion.op)].again_until &&
         !Has(insertion);
}

void InsertionPlan::Insert(Insertion insertion) {
  Put(insertion);
  journal_.push_back({.insertion = insertion, .is_insert = true});
  RemoveIdle();
}

void InsertionPlan::Remove(Insertion insertion) {
  Take(insertion);
  journal_.push_back({.insertion = insertion, .is_insert = false});
  RemoveIdle();
}

void InsertionPlan::Load(const std::vector<Insertion>& insertions) {
  while (!insertions_.empty()) {
    Take(insertions_.back());
  }
  for (const Insertion& insertion : insertions) {
    if (CanInsert(insertion)) {
      Put(insertion);
    }
  }
  idle_.clear();
  journal_.clear();
}

void InsertionPlan::Undo(std::size_t mark) {
  while (journal_.size() > mark) {
    const Change change = journal_.back();
    journal_.pop_back();
    if (change.is_insert) {
      Take(change.insertion);
    } else {
      Put(change.insertion);
    }
  }
  idle_.clear();
}

void InsertionPlan::Put(Insertion insertion) {
  std::vector<Run>& runs = stages_[static_cast<std::size_t>(insertion.stage)];
  const auto place =
      std::find_if(runs.begin(), runs.end(), [&](const Run& run) { return run.op > insertion.op; });
  // Between two runs the change of the earlier one still holds.
  runs.insert(place, {.op = insertion.op, .place = static_cast<std::int32_t>(insertions_.size())});
  insertions_.push_back(insertion);
  overhead_ns_ += program_.ops[static_cast<std::size_t>(insertion.op)].duration_ns;
  const Moment moment = MomentOf(insertion.stage, insertion.op);
  for (const std::int32_t value : program_.ReadsOf(insertion.op)) {
    InsertRead(value, moment);
  }
  for (const std::int32_t value : program_.MadeBy(insertion.op)) {
    if (insertion.stage <= program_.values[static_cast<std::size_t>(value)].made_until) {
      InsertMake(value, moment);
    }
  }
  touched_stages_.push_back(insertion.stage);
  for (const std::int32_t stage : touched_stages_) {
    Refresh(stage);
  }
  touched_stages_.clear();
}

void InsertionPlan::Take(Insertion insertion) {
  const Moment moment = MomentOf(insertion.stage, insertion.op);
  for (const std::int32_t value : program_.MadeBy(insertion.op)) {
    if (insertion.stage <= program_.values[static_cast<std::size_t>(value)].made_until) {
      RemoveMake(value, moment);
    }
  }
  for (const std::int32_t value : program_.ReadsOf(insertion.op)) {
    RemoveRead(value, moment);
  }
  std::vector<Run>& runs = stages_[static_cast<std::size_t>(insertion.stage)];
  Run& run = RunAt(moment);
  const auto place = static_cast<std::size_t>(run.place);
  runs.erase(runs.begin() + (&run - runs.data()));
  const Insertion last = insertions_.back();
  insertions_.pop_back();
  if (place < insertions_.size()) {
    insertions_[place] = last;
    RunAt(MomentOf(last.stage, last.op)).place = static_cast<std::int32_t>(place);
  }
  overhead_ns_ -= program_.ops[static_cast<std::size_t>(insertion.op)].duration_ns;
  touched_stages_.push_back(insertion.stage);
  for (const std::int32_t stage : touched_stages_) {
    Refresh(stage);
  }
  touched_stages_.clear();
}

void InsertionPlan::InsertRead(std::int32_t value, Moment moment) {
  std::vector<Moment>& events = events_[static_cast<std::size_t>(value)];
  const auto next = std::lower_bound(events.begin(), events.end(), moment);
  const bool is_last = next == events.end() || Makes(value, *next);
  const Moment before = *(next - 1);
  events.insert(next, moment);
  if (is_last) {
    AddPresence(before, moment, program_.values[static_cast<std::size_t>(value)].units);
  }
}

void InsertionPlan::RemoveRead(std::int32_t value, Moment moment) {
  std::vector<Moment>& events = events_[static_cast<std::size_t>(value)];
  const auto next = events.erase(std::lower_bound(events.begin(), events.end(), moment));
  const Moment before = *(next - 1);
  if (next == events.end() || Makes(value, *next)) {
    AddPresence(before, moment, -program_.values[static_cast<std::size_t>(value)].units);
    if (Makes(value, before)) {
      idle_.push_back(before);
    }
  }
}

void InsertionPlan::InsertMake(std::int32_t value, Moment moment) {
  std::vector<Moment>& events = events_[static_cast<std::size_t>(value)];
  const auto next = std::lower_bound(events.begin(), events.end(), moment);
  const bool splits = next != events.end() && !Makes(value, *next);
  const Moment before = *(next - 1);
  events.insert(next, moment);
  if (splits) {
    AddPresence(before, moment, -program_.values[static_cast<std::size_t>(value)].units);
    if (Makes(value, before)) {
      idle_.push_back(before);
    }
  }
}

void InsertionPlan::RemoveMake(std::int32_t value, Moment moment) {
  std::vector<Moment>& events = events_[static_cast<std::size_t>(value)];
  const auto next = events.erase(std::lower_bound(events.begin(), events.end(), moment));
  if (next != events.end() && !Makes(value, *next)) {
    AddPresence(*(next - 1), moment, program_.values[static_cast<std::size_t>(value)].units);
  }
}

/// `units` are live during the runs after `from`, up to and with the one at `to`.
void InsertionPlan::AddPresence(Moment from, Moment to, std::int32_t units) {
  if (units == 0) {
    return;
  }
  ++change_count_;
  RunAt(from).change_units += units;
  RunAt(to).change_units -= units;
  touched_stages_.push_back(StageOf(from));
  if (StageOf(from) != StageOf(to)) {
    touched_stages_.push_back(StageOf(to));
    profile_.Add(StageOf(from) + 1, StageOf(to), units);
  }
}

std::int32_t InsertionPlan::FirstRunUnits(std::int32_t stage) const {
  const auto index = static_cast<std::size_t>(stage);
  std::int32_t units = profile_.Max(stage, stage) - stage_units_[index];
  for (const Run& run : stages_[index]) {
    if (run.op == stage) break;
    units += run.change_units;
  }
  return units + program_.ops[index].script_units;
}

void InsertionPlan::RemoveIdle() {
  while (!idle_.empty()) {
    const Moment moment = idle_.back();
    idle_.pop_back();
    const Insertion insertion{.stage = StageOf(moment), .op = OpOf(moment)};
    if (insertion.stage != insertion.op && Has(insertion) && IsIdle(moment)) {
      Take(insertion);
      journal_.push_back({.insertion = insertion, .is_insert = false});
    }
  }
}

bool InsertionPlan::IsIdle(Moment moment) const {
  const std::span<const std::int32_t> made = program_.MadeBy(OpOf(moment));
  return std::all_of(made.begin(), made.end(), [&](std::int32_t value) {
    const std::vector<Moment>& events = events_[static_cast<std::size_t>(value)];
    const auto place = std::lower_bound(events.begin(), events.end(), moment);
    return place == events.end() || *place != moment || place + 1 == events.end() ||
           Makes(value, *(place + 1));
  });
}

InsertionPlan::Run& InsertionPlan::RunAt(Moment moment) {
  std::vector<Run>& runs = stages_[static_cast<std::size_t>(StageOf(moment))];
  return *std::lower_bound(runs.begin(), runs.end(), OpOf(moment),
                           [](const Run& run, std::int32_t op) { return run.op < op; });
}

void InsertionPlan::Refresh(std::int32_t stage) {
  std::int32_t live_units = 0;  // Above what is live when the stage begins.
  std::int32_t peak_units = 0;
  for (const Run& run : stages_[static_cast<std::size_t>(stage)]) {
    peak_units = std::max(peak_units,
                          live_units + program_.ops[static_cast<std::size_t>(run.op)].script_units);
    live_units += run.change_units;
  }
  std::int32_t& counted_units = stage_units_[static_cast<std::size_t>(stage)];
  if (peak_units != counted_units) {
    profile_.Add(stage, stage, peak_units - counted_units);
    counted_units = peak_units;
  }
}

Schedule InsertionPlan::ToSchedule(const Profile& profile, const Program& program) const {
  Schedule schedule{.phases = std::vector<PhasePlan>(profile.phases.size())};
  // Whether the value that `event` of `value` made or read is needed after it.
  const auto lives_on = [&](std::int32_t value, Moment moment) {
    const std::vector<Moment>& events = events_[static_cast<std::size_t>(value)];
    const auto next = std::upper_bound(events.begin(), events.end(), moment);
    return next != events.end() && !Makes(value, *next);
  };
  const auto buffer_of = [&](std::int32_t value) {
    return program_.values[static_cast<std::size_t>(value)].buffer;
  };
  for (std::int32_t stage = 0; stage <= program_.op_count; ++stage) {
    std::vector<Instruction>& out =
        stage == program_.op_count ? schedule.phases.back().epilogue
                                   : schedule
                                         .phases[static_cast<std::size_t>(
                                             program.ops[static_cast<std::size_t>(stage)].phase)]
                                         .body;
    for (const Run& run : stages_[static_cast<std::size_t>(stage)]) {
      if (run.op == program_.op_count) {
        continue;
      }
      const Moment moment = MomentOf(stage, run.op);
      std::vector<BufferId> discards{};
      for (const std::int32_t value : program_.MadeBy(run.op)) {
        const bool is_made =
            stage == run.op || stage <= program_.values[static_cast<std::size_t>(value)].made_until;
        if (!is_made || !lives_on(value, moment)) {
          discards.push_back(buffer_of(value));
        }
      }
      out.push_back(ComputeInstruction(program.ops[static_cast<std::size_t>(run.op)].id,
                                       std::move(discards)));
      for (const std::int32_t value : program_.ReadsOf(run.op)) {
        if (!lives_on(value, moment)) {
          out.push_back(FreeInstruction(buffer_of(value)));
        }
      }
    }
  }
  return schedule;
}

}  // namespace stint
