// Which movable buffers are resident while a schedule is built, until when each is needed, and what
// it would cost to have one back.
//
// A buffer that is not resident is needed where an op still to come uses it, and wherever it helps
// to make another such buffer again:
//
//     x -> f -> y          y used at step 90, neither is resident
//                          Need(y) = 90, Need(x) = 90, and freeing x for good would lose y
//
// Refuses to know: budgets, eviction rules, instructions.
#pragma once

#include <cstdint>
#include <queue>
#include <vector>

#include "planner/program.h"

namespace stint {

/// What making a buffer again takes: the pure ops on the way from what is resident now.
struct Remake {
  std::int64_t cost_ns = 0;             // Their durations.
  std::int32_t possible_until = kNoOp;  // The last step before which all of them may run; kNoOp if
                                        // a value on the way cannot be had again.
  std::int64_t op_count = 0;            // Looked at: the work this answer took.
};

class Residency {
 public:
  /// Keeps a reference to `program`, which must outlive it.
  explicit Residency(const Program& program);

  std::int32_t step() const { return step_; }
  std::int64_t resident_bytes() const { return resident_bytes_; }
  bool IsResident(BufferId buffer) const { return states_[Index(buffer)].is_resident; }
  bool IsPinned(BufferId buffer) const { return states_[Index(buffer)].pin_count > 0; }
  /// Whether it holds the version its creator made.
  bool IsAsCreated(BufferId buffer) const { return !states_[Index(buffer)].is_written; }
  /// The next step that uses the buffer, by itself or to remake another; kNever if none does.
  std::int32_t Need(BufferId buffer) const { return states_[Index(buffer)].need; }
  /// Resident, unpinned or not, of at least one byte, and made by a pure op: worth a look.
  const std::vector<BufferId>& candidates() const { return candidates_; }
  /// Whether Remake of it may have changed since ClearStale.
  bool IsStale(BufferId buffer) const { return states_[Index(buffer)].is_stale; }
  void ClearStale(BufferId buffer) { states_[Index(buffer)].is_stale = false; }

  void Pin(BufferId buffer) { ++states_[Index(buffer)].pin_count; }
  void Unpin(BufferId buffer) { --states_[Index(buffer)].pin_count; }

  void BeginResidence(BufferId buffer);
  void EndResidence(BufferId buffer);
  /// The op of this step has run for the first time: its uses are over, its writes are done.
  void Advance();

  /// Looks through what is not resident; gives up (kNoOp) after a few hundred ops.
  Remake RemakeOf(BufferId buffer);

 private:
  struct State {
    bool is_resident = false;
    bool is_written = false;
    bool is_stale = true;
    bool is_queued = false;
    std::int32_t pin_count = 0;
    std::int32_t need = kNever;
    std::int32_t next_use = 0;       // Index into MovableBuffer::uses.
    std::int32_t candidate = kNoOp;  // Index into candidates_; kNoOp: not in it.
  };

  const ProgramOp& CreatorOf(BufferId buffer) const;
  void AddCandidate(BufferId buffer);
  void RemoveCandidate(BufferId buffer);
  std::int32_t NeedNow(BufferId buffer) const;
  void QueueNeed(BufferId buffer);
  void QueueNeedOfSources(BufferId buffer);
  void SettleNeeds();
  void MarkStaleBelow(BufferId buffer);
  bool Visit(std::int32_t op);

  const Program& program_;
  std::vector<State> states_{};
  std::vector<BufferId> candidates_{};
  std::vector<std::int64_t> visits_{};  // By op: the last search that came by.
  std::int64_t visit_ = 0;
  std::vector<std::int32_t> stack_{};  // Of ops, for the searches.
  // Buffers whose need may have changed, the latest created first: each is settled once.
  std::priority_queue<std::pair<std::int32_t, std::int32_t>> need_queue_{};
  std::int32_t step_ = 0;
  std::int64_t resident_bytes_ = 0;
};

}  // namespace stint
