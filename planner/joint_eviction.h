// Which gaps of a sequence are spent away from the device, so that it fits its memory.
//
//     units   |      .--x--.            repair: at the highest run x, evict the gap around it with
//     limit  -|-----/-------\----       the farthest next use, until nothing is above the limit
//             |  .-'         '--.       fill: keep again what fits, the earliest use first
//             +-------------------> run
//
// Refuses to know: how long copies take.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "planner/joint_sequence.h"
#include "planner/peak_tree.h"
#include "planner/small_random.h"

namespace stint {

struct GapRules {
  bool fills = true;
  double noise = 0;  // Added to priorities, at random up to this.
};

class GapChooser {
 public:
  /// Keeps a reference to `program`. `limit_units` are for all that is resident and requested.
  GapChooser(const PagedProgram& program, std::int32_t limit_units)
      : program_(program), limit_units_(limit_units) {}

  /// Decides `is_evicted` of all gaps, beginning with what `choice` says, and writes the decision
  /// back. @returns by how much the sequence stays above the limit; 0: it fits.
  std::int32_t Choose(JointChoice& choice, const GapRules& rules, SmallRandom& random,
                      JointSequence& sequence);

  /// Units needed during each run of the sequence chosen last, between its copies.
  const std::vector<std::int32_t>& units() const { return units_; }

 private:
  void CountUnits(const JointSequence& sequence);
  void FindStretches(const JointSequence& sequence);
  void AddHeadroom(const JointChoice& choice, PeakTree& peaks) const;
  bool GiveUpHeadroom(std::int32_t run, JointChoice& choice, PeakTree& peaks) const;
  void Evict(SequenceGap& gap, PeakTree& peaks);
  void Keep(SequenceGap& gap, PeakTree& peaks);
  void AddAround(const SequenceGap& gap, std::int32_t units, PeakTree& peaks) const;
  std::int32_t MaxAround(const SequenceGap& gap, const PeakTree& peaks) const;
  bool Repair(JointChoice& choice, const GapRules& rules, SmallRandom& random,
              JointSequence& sequence, PeakTree& peaks);
  void Fill(const JointChoice& choice, const GapRules& rules, SmallRandom& random,
            JointSequence& sequence, PeakTree& peaks);
  bool IsFrozen(const SequenceGap& gap) const;
  void EvictWithItsWrap(JointSequence& sequence, std::size_t gap, PeakTree& peaks);
  bool CanKeep(const SequenceGap& gap) const;
  void TakeOffEvicted(const JointSequence& sequence);

  const PagedProgram& program_;
  std::int32_t limit_units_ = 0;
  std::vector<std::int32_t> units_{};
  std::array<std::int32_t, kStretchCount + 1> stretches_{};  // The first run of each; run count.
  std::vector<std::int32_t> evicted_count_{};                // By item: gaps that do not wrap.
  std::vector<std::int32_t> wrap_of_{};  // By item: its wrapping gap; kNoOp: none.
};

}  // namespace stint
