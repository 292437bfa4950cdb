// Is there a packing below a given height? A complete search, for blocks that greedy orders leave a
// few percent too high. docs/planning.md, "Addresses", explains it with a picture.
//
// The search fills the skyline from below, always in a valley: a run of sections of one height
// between higher ones. Of all sections in valleys it takes the one with the fewest choices; these
// are the blocks that cover it and fit into the valley, each at the valley's floor, and, where the
// height leaves so much room, nothing at all up to the next height at which something could lie.
//
//     height |      |   |
//       5    |######|   |#####|     V: a valley from section 3 to 5 at height 2. A block that lies
//       2    |######|VVV|#####|        over section 3 either fits into it and lies at 2, or it
//       0    +------+---+-----+        sticks out and lies at 5 or higher.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <vector>

#include "planner/packing_sections.h"

namespace stint {

/// Which of the blocks that fit is tried first: the one that is more in these respects.
enum class PackingOrder : std::uint8_t {
  kSize,        // Size, then length.
  kLength,      // Length, then area.
  kLoadLength,  // Most bytes alive during its life, then length, then area.
  kLoadArea,    // The same, then area.
  kArea,        // Area, then length.
};

enum class PackingAnswer : std::uint8_t {
  kFound,       // All blocks have offsets.
  kImpossible,  // Every packing is higher.
  kUnknown,     // A limit came first.
};

struct PackingSearchLimits {
  std::int64_t node_limit = 0;  // Deterministic.
  std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max();
  const std::atomic<bool>* stop = nullptr;     // Set from outside; may be null.
  const std::atomic<bool>* is_lost = nullptr;  // The same, by rivals in a race.
};

/// One search. Not for several threads at once. Keeps a reference to the sections.
class PackingSearch {
 public:
  PackingSearch(const PackingSections& sections, std::int64_t height_bytes, PackingOrder order);

  /// Searches from the start. What earlier calls learned stays: which states are dead ends, and
  /// which sections make trouble. "Impossible" rests on 128-bit hashes of states; unless two of
  /// them collide it is a proof.
  PackingAnswer Run(const PackingSearchLimits& limits);

  /// By block, in bytes; valid after kFound.
  const std::vector<std::int64_t>& offsets() const { return offsets_; }

  /// Blocks and sections looked at so far, in all calls: the same on every machine.
  std::int64_t step_count() const { return step_count_; }

 private:
  static constexpr std::int32_t kNone = -1;

  // Blocks that no placed block separates in time: independent of all others.
  struct Part {
    std::int32_t section_begin = 0;  //
    std::int32_t section_end = 0;    //
    std::size_t list_begin = 0;      // Its blocks, some of them placed: a range of lists_.
    std::size_t list_end = 0;        //
    std::size_t live_count = 0;      // Those that are not placed.
    std::int32_t parent = kNone;     // The choice that made it: an index into choices_.
    std::int32_t next = kNone;       // The part that is to be packed after it.
  };

  // A state of one hash: what is not placed yet, and the skyline below it.
  struct StateKey {
    std::uint64_t low = 0;
    std::uint64_t high = 0;
    bool operator==(const StateKey&) const = default;
  };

  // Lengths of the lists that only grow until the search goes back.
  struct Marks {
    std::size_t skyline = 0;
    std::size_t floor = 0;
    std::size_t placed = 0;
    std::size_t lists = 0;
    std::size_t parts = 0;
  };

  struct Choice {
    Part part{};                   // Without the blocks placed since.
    std::int32_t section = 0;      // To be covered.
    std::int64_t raise_bytes = 0;  // By how much, if by nothing; 0: something must cover it.
    std::size_t next_option = 0;   // Into lists_, up to option_end; a kNone stands for nothing.
    std::size_t option_end = 0;    //
    StateKey key{};                //
    Marks marks{};                 // To which the search goes back before each option.
  };

  struct SkylineChange {
    std::int32_t section = 0;
    std::int64_t top_bytes = 0;
    std::int64_t slack_bytes = 0;
  };
  struct FloorChange {
    std::int32_t block = 0;
    std::int64_t floor_bytes = 0;
  };

  // What is best to decide next.
  struct Target {
    std::int32_t section = kNone;
    std::int32_t valley_begin = 0;
    std::int32_t valley_end = 0;
    std::int64_t raise_bytes = 0;
  };

  void RankBlocks(PackingOrder order);
  void Reset();
  Marks CurrentMarks() const;
  void GoBackTo(const Marks& marks);
  bool Compact(Part& part);
  bool Split(const Part& part);
  void FindLowestFloors(const Part& part);
  bool RaiseToFloors(const Part& part);
  StateKey KeyOf(const Part& part) const;
  Target ChooseTarget(const Part& part);
  void FindValleys(const Part& part);
  void AddChoice(const Part& part, const Target& target, const StateKey& key);
  bool TakeNextOption();
  bool GiveUpPart(std::int32_t parent);
  void PlaceBlock(const Part& part, std::int32_t block);
  void RaiseSection(const Part& part, std::int32_t section, std::int64_t raise_bytes);
  void SetTop(std::int32_t section, std::int64_t top_bytes, std::int64_t slack_bytes);
  void LiftFloors(const Part& part, std::int32_t begin, std::int32_t end, std::int64_t top_bytes);
  bool IsPlaced(std::int32_t block) const { return offsets_[static_cast<std::size_t>(block)] >= 0; }

  const PackingSections& sections_;
  std::vector<std::int32_t> rank_{};         // By block: its place in the order of trial.
  std::vector<std::int64_t> offsets_{};      // By block; -1: not placed.
  std::vector<std::int64_t> floor_bytes_{};  // By block: no lower place is left.
  std::vector<std::int64_t> top_bytes_{};    // By section: the skyline.
  std::vector<std::int64_t> slack_bytes_{};  // By section: height - top - what is not placed.
  std::vector<double> weight_{};             // By section: 1 + failures.
  std::vector<SkylineChange> skyline_changes_{};
  std::vector<FloorChange> floor_changes_{};
  std::vector<std::int32_t> placed_{};  // In the order of placing.
  std::vector<std::int32_t> lists_{};   // Block lists of parts and options of choices.
  std::vector<Part> parts_{};
  std::vector<Choice> choices_{};
  std::vector<StateKey> dead_ends_{};  // A table without chains: what is newer stays.
  std::int32_t agenda_ = kNone;        // The part to pack next; Part::next leads on.
  std::int64_t step_count_ = 0;

  // Scratch space of one node, by section.
  std::vector<std::vector<std::int64_t>> lowest_bytes_{};  // Row r: the lowest floor of a block
                                                           // over the 2^r sections from here.
  std::vector<std::int32_t> crossing_{};        // Blocks that live on into the next section.
  std::vector<std::int32_t> valley_begin_{};    // kNone outside of valleys.
  std::vector<std::int32_t> valley_end_{};      // At valley_begin_.
  std::vector<std::int64_t> smallest_bytes_{};  // At valley_begin_: of the blocks that fit into it.
  std::vector<std::int32_t> cover_count_{};     // Blocks that fit into the valley and cover it.
};

}  // namespace stint
