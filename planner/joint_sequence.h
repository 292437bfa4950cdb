// The order in which a joint plan computes, and what it may move meanwhile: runs, lives, gaps.
//
//     run         F0  F1  F2  B2  F0  F1  B1  B0        F0 and F1 run again
//     life of a   |make---use             |make--use    one from each making to its last use
//     gap             |-----gap-----|                   between two uses, where it may be away
//     shard w     use-use     use ... ... use |-wraps-  its last gap goes on in the next iteration
//
// Refuses to know: budgets, copies under way.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "planner/paged_program.h"

namespace stint {

enum class GapClass : std::uint8_t {
  kAcrossTurn,
  kWraps,  // From the last use to the first of the next iteration; of shards.
  kBeforeTurn,
  kAfterTurn,
};
inline constexpr std::size_t kGapClassCount = 4;
// An iteration is cut into so many stretches that take equally long.
inline constexpr std::size_t kStretchCount = 48;

/// What a search varies. By item, or by item and class of gap, or by stretch.
struct JointChoice {
  std::vector<std::uint8_t> drops{};  // Not kept over its long gap but made again.
  std::vector<std::uint8_t>
      drops_again{};  // Not kept after that either, where its next use is far.
  std::vector<std::array<std::uint8_t, kGapClassCount>> evicts{};  // Away in the longest such gap.
  std::vector<std::array<float, kGapClassCount>> priorities{};     // To be evicted; about 0.
  std::array<std::int32_t, kStretchCount> headroom_units{};        // Not filled by what is kept, so
                                                                   // that fetches come early.

  explicit JointChoice(std::size_t item_count)
      : drops(item_count), drops_again(item_count), evicts(item_count), priorities(item_count) {}
};

struct JointLife {
  std::int32_t item = 0;
  std::int32_t begin = 0;  // The run that makes it.
  std::int32_t end = 0;    // The run that uses it last; the last of all for what stays.
};

struct SequenceGap {
  std::int32_t item = 0;
  std::int32_t life = kNoOp;  // kNoOp: of a shard.
  std::int32_t begin = 0;     // The run that uses it before.
  std::int32_t end = 0;       // The run that uses it next; before `begin` if it wraps.
  GapClass kind{};
  bool is_evicted = false;
};

struct JointSequence {
  std::vector<std::int32_t> steps{};     // By run: the op.
  std::vector<std::uint8_t> is_again{};  // By run.
  std::vector<std::int64_t> begin_ns{};  // By run, and the end: without any wait.
  std::vector<std::int32_t> run_of{};    // By step: its first run.
  std::vector<JointLife> lives{};        // By `begin`.
  std::vector<SequenceGap> gaps{};       // At most one for each life or shard and class.
  std::int32_t turn = 0;                 // Run.
  std::int64_t recompute_ns = 0;         //
};

/// Makes sequences one after another in the same memory.
class SequenceBuilder {
 public:
  /// Keeps a reference to `program`, which must outlive it.
  explicit SequenceBuilder(const PagedProgram& program);

  /// Follows the drops of `choice`, taking back those that would need a value that cannot be made
  /// again. Whether one could be found: an op may need what was overwritten. O(reads of all runs).
  bool Build(JointChoice& choice, JointSequence& sequence);

 private:
  bool TryBuild(JointChoice& choice, JointSequence& sequence);
  bool MakeAgain(std::int32_t step, const JointChoice& choice, JointSequence& sequence);
  bool Collect(std::int32_t step);
  void Run(std::int32_t step, bool is_again, const JointChoice& choice, JointSequence& sequence);
  void Use(std::int32_t item, std::int32_t run, JointSequence& sequence);
  void AddGap(const SequenceGap& gap, std::int64_t wait_ns, JointSequence& sequence);
  void AddWrappingGaps(JointSequence& sequence);
  bool IsUsedSoon(std::int32_t item, std::int32_t step) const;
  /// What each run asks of an item, in one place.
  struct Facts {
    std::int32_t last_use = kNoOp;    // Step; op count for what stays.
    std::int32_t creator = kNoOp;     //
    std::int32_t drop_after = kNoOp;  //
    bool is_shard = false;
    bool can_move = false;
    bool can_drop = false;
    bool is_written = false;
  };
  const Facts& FactsOf(std::int32_t item) const { return facts_[static_cast<std::size_t>(item)]; }

  const PagedProgram& program_;
  std::vector<Facts> facts_{};  // By item.
  // Of the sequence being built:
  std::vector<std::int32_t> life_of_{};    // By item: its life while it is live, else kNoOp.
  std::vector<std::int32_t> used_at_{};    // By item: the run that used it last; kNoOp: none.
  std::vector<std::int32_t> first_use_{};  // By shard: the first run; kNoOp: none yet.
  std::vector<std::array<std::int32_t, kGapClassCount>> longest_{};  // By life, then by item: gap.
  std::vector<std::int64_t> wait_ns_{};                              // By gap.
  std::vector<std::int32_t> marks_{};  // By step: the last collection that came by.
  std::int32_t mark_ = 0;
  std::vector<std::int32_t> stack_{};
  std::vector<std::int32_t> again_{};  // Ops to run again, ascending.
  std::int32_t culprit_ = kNoOp;       // An item whose drop must be taken back.
};

}  // namespace stint
