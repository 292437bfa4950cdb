// A schedule as the set of its recomputations, cheap to change: what runs again, and in which
// stage.
//
// Stage t is the time right before op t runs first, and op t itself. Ops that run again in it do so
// in the program's order. Any set of recomputations is a right schedule, because lifetimes follow
// from it: what an op makes lives to the last read before it is made again.
//
//     stage        0   1   2   3        4              5
//     runs         A   B   C   D        A' E           F         recomputed: A in stage 4
//     a            |---use              |--use---------use       A' splits the lifetime of a
//     x (A reads)  ----------------------use                     and keeps its own input alive
//
// So an insertion adds to a few ranges of the memory profile and takes from others, and a search
// can try a hundred thousand of them in a second. Refuses to know: budgets, costs of memory.
#pragma once

#include <cstdint>
#include <vector>

#include "planner/flat_program.h"
#include "planner/peak_tree.h"
#include "planner/solver.h"

namespace stint {

/// An op that runs again.
struct Insertion {
  std::int32_t stage = 0;
  std::int32_t op = 0;  // Step of its first run; < stage.

  auto operator<=>(const Insertion&) const = default;
};

/// A time: an op in a stage, its first run or another.
using Moment = std::int64_t;
constexpr Moment MomentOf(std::int32_t stage, std::int32_t op) {
  return (static_cast<Moment>(stage) << 32) | static_cast<Moment>(op);
}
constexpr std::int32_t StageOf(Moment moment) { return static_cast<std::int32_t>(moment >> 32); }
constexpr std::int32_t OpOf(Moment moment) {
  return static_cast<std::int32_t>(moment & 0xffffffff);
}

class InsertionPlan {
 public:
  /// Without recomputations. Keeps a reference to `program`, which must outlive it.
  explicit InsertionPlan(const FlatProgram& program);

  /// Whether `insertion` is possible and not there.
  bool CanInsert(Insertion insertion) const;
  bool Has(Insertion insertion) const;
  /// O(reads * (events + log stages) + ops in the stages it touches). Recomputations that nobody
  /// needs any more go.
  void Insert(Insertion insertion);
  void Remove(Insertion insertion);

  /// Has exactly those of `insertions` that are possible, useful or not. Forgets what was before.
  void Load(const std::vector<Insertion>& insertions);

  /// How many changes Undo could take back.
  std::size_t Mark() const { return journal_.size(); }
  /// Takes back every Insert and Remove since `mark`.
  void Undo(std::size_t mark);
  /// Forgets how to take anything back.
  void Commit() { journal_.clear(); }

  std::int64_t overhead_ns() const { return overhead_ns_; }
  /// Most units live at once.
  std::int32_t peak_units() const { return profile_.Max(); }
  std::int32_t PeakUnits(std::int32_t first_stage, std::int32_t last_stage) const {
    return profile_.Max(first_stage, last_stage);
  }
  /// Live while the op of `stage` runs for the first time, its requests included.
  std::int32_t FirstRunUnits(std::int32_t stage) const;
  std::int32_t PeakStage() const { return profile_.ArgMax(); }
  /// The first stage whose peak is above `limit_units`; -1 if none is.
  std::int32_t FirstStageAbove(std::int32_t limit_units) const {
    return profile_.FirstAbove(limit_units);
  }

  /// When `value` is made, read, made again, ...: ascending; those with OpOf its creator make it.
  const std::vector<Moment>& EventsOf(std::int32_t value) const {
    return events_[static_cast<std::size_t>(value)];
  }
  bool Makes(std::int32_t value, Moment event) const {
    return OpOf(event) == program_.values[static_cast<std::size_t>(value)].creator;
  }
  /// All recomputations, in no particular order that matters but always the same.
  const std::vector<Insertion>& insertions() const { return insertions_; }

  /// Instructions for the program this one is flat of.
  Schedule ToSchedule(const Profile& profile, const Program& program) const;

  /// Counts the ranges changed so far: a measure of work.
  std::int64_t change_count() const { return change_count_; }

 private:
  /// One run of an op.
  struct Run {
    std::int32_t op = 0;
    std::int32_t change_units = 0;  // Of what is live, from this run to the next.
    std::int32_t place = -1;        // Index into insertions_; -1: the first run.
  };
  struct Change {
    Insertion insertion{};
    bool is_insert = false;
  };

  void Put(Insertion insertion);
  void Take(Insertion insertion);
  void InsertRead(std::int32_t value, Moment moment);
  void RemoveRead(std::int32_t value, Moment moment);
  void InsertMake(std::int32_t value, Moment moment);
  void RemoveMake(std::int32_t value, Moment moment);
  void AddPresence(Moment from, Moment to, std::int32_t units);
  void RemoveIdle();
  bool IsIdle(Moment moment) const;
  Run& RunAt(Moment moment);
  void Refresh(std::int32_t stage);

  const FlatProgram& program_;
  std::vector<std::vector<Run>> stages_;        // Ascending by op; the last is the first run.
  std::vector<std::vector<Moment>> events_;     // By value.
  std::vector<std::int32_t> stage_units_;       // By stage: its peak above what is live when it
                                                // begins.
  PeakTree profile_;                            // By stage: peak.
  std::vector<Insertion> insertions_{};         //
  std::vector<std::int32_t> touched_stages_{};  // Whose stage_units_ are to be counted again.
  std::vector<Moment> idle_{};                  // Runs that may have become useless.
  std::vector<Change> journal_{};
  std::int64_t overhead_ns_ = 0;
  std::int64_t change_count_ = 0;
};

}  // namespace stint
