#include "planner/paged_arena.h"

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <optional>
#include <utility>

#include "ir/units.h"
#include "planner/peak_tree.h"
#include "planner/skyline.h"
#include "planner/small_random.h"

namespace stint {
namespace {

constexpr std::size_t kNoBlock = static_cast<std::size_t>(-1);
// Orders tried from the best one on, at most.
constexpr int kTrialCount = 1000;
// One in so many goes on although fewer blocks had a place.
constexpr std::size_t kTrialsBeforeWorse = 50;

/// A residence or a request. What is resident at the start has a second part at the end.
struct PagedBlock {
  Block block{};
  std::int32_t return_at = -1;     // Of what is resident at the start and leaves: when it is back.
  std::int64_t* target = nullptr;  // Where the offset goes; null: in initial residences.
};

/// Makes the blocks of a schedule in time order.
class BlockMaker {
 public:
  BlockMaker(const Profile& profile, PagedSchedule& schedule)
      : profile_(profile),
        schedule_(schedule),
        block_of_buffer_(profile.buffers.size(), kNoBlock),
        block_of_shard_(schedule.shards.size(), kNoBlock),
        initial_of_buffer_(profile.buffers.size(), kNoBlock),
        initial_of_shard_(schedule.shards.size(), kNoBlock) {}

  void Make() {
    TickInstructions();
    for (const BufferId id : schedule_.initial) {
      Open(block_of_buffer_[Index(id)], profile_.buffers[Index(id)].size_bytes, nullptr);
      initial_of_buffer_[Index(id)] = block_of_buffer_[Index(id)];
    }
    for (const ShardId id : schedule_.initial_shards) {
      Open(block_of_shard_[Index(id)], schedule_.shards[Index(id)].size_bytes, nullptr);
      initial_of_shard_[Index(id)] = block_of_shard_[Index(id)];
    }
    for (std::size_t i = 0; i < schedule_.instructions.size(); ++i) {
      tick_ = ticks_[i];
      Add(schedule_.instructions[i], i);
    }
    tick_ = ticks_.back();
    CloseInitial(block_of_buffer_, initial_of_buffer_);
    CloseInitial(block_of_shard_, initial_of_shard_);
    CloseRest();
  }

  const std::vector<PagedBlock>& blocks() const { return blocks_; }
  std::int32_t end() const { return ticks_.back(); }
  std::int64_t peak_bytes() const { return peak_bytes_; }

  /// Where the buffers that begin on the device lie, by the offsets of all blocks.
  std::vector<Placement> Initial(const std::vector<std::int64_t>& offsets) const {
    std::vector<Placement> initial{};
    for (const BufferId id : schedule_.initial) {
      const std::size_t block = initial_of_buffer_[Index(id)];
      initial.push_back({.buffer = id, .offset_bytes = block == kNoBlock ? 0 : offsets[block]});
    }
    for (const ShardId id : schedule_.initial_shards) {
      for (const Placement& member : schedule_.shards[Index(id)].members) {
        initial.push_back(
            {.buffer = member.buffer,
             .offset_bytes = offsets[initial_of_shard_[Index(id)]] + member.offset_bytes});
      }
    }
    std::sort(initial.begin(), initial.end(),
              [](const Placement& a, const Placement& b) { return a.buffer < b.buffer; });
    return initial;
  }

 private:
  /// One tick for each request, at least one for each instruction.
  void TickInstructions() {
    std::int32_t tick = 0;
    for (const Instruction& instruction : schedule_.instructions) {
      ticks_.push_back(tick);
      const std::size_t request_count = instruction.kind == InstructionKind::kCompute
                                            ? profile_.ops[Index(instruction.op)].requests.size()
                                            : 0;
      tick += std::max<std::int32_t>(1, static_cast<std::int32_t>(request_count));
    }
    ticks_.push_back(tick);
  }

  void Add(Instruction& instruction, std::size_t i) {
    switch (instruction.kind) {
      case InstructionKind::kCompute:
        AddCompute(instruction, i);
        break;
      case InstructionKind::kFetch:
        Open(BlockOf(instruction), SizeOf(instruction), &instruction.offset_bytes);
        break;
      case InstructionKind::kOffload:
        Close(BlockOf(instruction), std::max(tick_, ticks_[Gone(i)]));
        break;
      case InstructionKind::kFree:
      case InstructionKind::kDrop:
        Close(BlockOf(instruction), tick_);
        break;
    }
  }

  std::size_t Gone(std::size_t i) const { return static_cast<std::size_t>(schedule_.gone_by[i]); }

  std::size_t& BlockOf(const Instruction& instruction) {
    return instruction.shard ? block_of_shard_[Index(*instruction.shard)]
                             : block_of_buffer_[Index(*instruction.buffer)];
  }

  std::int64_t SizeOf(const Instruction& instruction) const {
    return instruction.shard ? schedule_.shards[Index(*instruction.shard)].size_bytes
                             : profile_.buffers[Index(*instruction.buffer)].size_bytes;
  }

  void AddCompute(Instruction& instruction, std::size_t index) {
    const std::vector<Request>& requests = profile_.ops[Index(instruction.op)].requests;
    instruction.request_offsets.assign(requests.size(), 0);
    const std::int32_t begin = ticks_[index];
    const std::int32_t end = ticks_[index + 1];
    std::vector<std::pair<std::int32_t, std::int64_t>> deaths{};  // Tick, bytes.
    for (std::size_t i = 0; i < requests.size(); ++i) {
      tick_ = begin + static_cast<std::int32_t>(i);
      for (auto& [tick, size_bytes] : deaths) {
        live_bytes_ -= tick <= tick_ ? std::exchange(size_bytes, 0) : 0;
      }
      const Request& request = requests[i];
      std::int64_t* target = &instruction.request_offsets[i];
      const bool is_kept =
          request.buffer && !std::binary_search(instruction.discards.begin(),
                                                instruction.discards.end(), *request.buffer);
      if (is_kept) {
        Open(block_of_buffer_[Index(*request.buffer)], request.size_bytes, target);
        continue;
      }
      const std::int32_t death = request.buffer ? end : begin + request.freed_after_request + 1;
      std::size_t block = kNoBlock;
      Open(block, request.size_bytes, target);
      blocks_[block].block.end = death;
      deaths.emplace_back(death, AlignUp(request.size_bytes));
    }
    for (const auto& [tick, size_bytes] : deaths) {
      live_bytes_ -= size_bytes;
    }
    tick_ = end;
  }

  /// Does nothing for empty buffers, which take no place.
  void Open(std::size_t& block, std::int64_t size_bytes, std::int64_t* target) {
    if (size_bytes == 0) {
      return;
    }
    block = blocks_.size();
    blocks_.push_back({.block = {.size_bytes = AlignUp(size_bytes), .begin = tick_}});
    blocks_.back().target = target;
    live_bytes_ += AlignUp(size_bytes);
    peak_bytes_ = std::max(peak_bytes_, live_bytes_);
  }

  void Close(std::size_t& block, std::int32_t end) {
    if (block != kNoBlock) {
      Block& closed = blocks_[block].block;
      closed.end = std::max(end, closed.begin + 1);
      live_bytes_ -= closed.size_bytes;
      block = kNoBlock;
    }
  }

  /// What began on the device and is back: its last residence is a part of its first.
  void CloseInitial(std::vector<std::size_t>& open, const std::vector<std::size_t>& initial) {
    for (std::size_t i = 0; i < open.size(); ++i) {
      if (open[i] == kNoBlock || initial[i] == kNoBlock) {
        continue;
      }
      PagedBlock& last = blocks_[open[i]];
      if (open[i] != initial[i]) {
        blocks_[initial[i]].return_at = last.block.begin;
        blocks_[initial[i]].target = last.target;
        last.block.size_bytes = 0;
      } else {
        last.block.end = ticks_.back();
      }
      open[i] = kNoBlock;
    }
  }

  void CloseRest() {
    for (PagedBlock& paged : blocks_) {
      if (paged.block.end == 0) {
        paged.block.end = std::max(ticks_.back(), paged.block.begin + 1);
      }
    }
  }

  const Profile& profile_;
  PagedSchedule& schedule_;
  std::vector<std::int32_t> ticks_{};  // By instruction: its first; then the end.
  std::vector<PagedBlock> blocks_{};
  std::vector<std::size_t> block_of_buffer_;  // While it is resident.
  std::vector<std::size_t> block_of_shard_;
  std::vector<std::size_t> initial_of_buffer_;
  std::vector<std::size_t> initial_of_shard_;
  std::int32_t tick_ = 0;
  std::int64_t live_bytes_ = 0;
  std::int64_t peak_bytes_ = 0;
};

using Order = std::vector<std::size_t>;

/// Puts blocks above those that are resident all the time.
class Placer {
 public:
  Placer(const std::vector<PagedBlock>& blocks, std::int32_t end)
      : blocks_(blocks), end_(end), skyline_(end), offsets_(blocks.size(), 0) {
    StackAlways();
  }

  std::int64_t height_bytes() const { return height_bytes_; }
  const std::vector<std::int64_t>& offsets() const { return best_offsets_; }

  void Place(const PagedArenaOptions& options) {
    Order best_order{};
    FitRule best_rule{};
    std::vector<Order> orders = Orders();
    std::rotate(orders.begin(),
                orders.begin() + static_cast<std::ptrdiff_t>(options.variant % orders.size()),
                orders.end());
    for (const Order& order : orders) {
      for (const FitRule rule : {FitRule::kBest, FitRule::kFirst}) {
        if (height_bytes_ <= options.enough_bytes) {
          return;
        }
        if (TryOrder(order, rule)) {
          best_order = order;
          best_rule = rule;
        }
      }
    }
    Improve(best_order, best_rule, options);
  }

 private:
  /// Climbs from `order`: places what sticks out earlier, and goes on from where more blocks have
  /// a place before the next one sticks out.
  void Improve(Order order, FitRule rule, const PagedArenaOptions& options) {
    SmallRandom random(options.variant);
    std::size_t placed_count = 0;
    Order next = order;
    for (int i = 0; i < kTrialCount && height_bytes_ > options.enough_bytes &&
                    skyline_.read_count() < options.read_limit;
         ++i) {
      if (TryOrder(next, rule)) {
        order = next;
        placed_count = 0;
        continue;
      }
      const std::size_t reached = offender_;
      if (reached >= placed_count || random.Below(kTrialsBeforeWorse) == 0) {
        order = next;
        placed_count = reached;
        next_offender_ = reached;
      } else {
        next = order;
      }
      const std::size_t from = next_offender_;
      if (from == 0) {
        return;  // A block by itself.
      }
      const std::size_t to = random.Below(8) == 0 ? 0 : random.Below(from);
      const auto begin = next.begin();
      if (random.Below(3) == 0) {
        std::swap(next[to], next[from]);
      } else {
        std::rotate(begin + static_cast<std::ptrdiff_t>(to),
                    begin + static_cast<std::ptrdiff_t>(from),
                    begin + static_cast<std::ptrdiff_t>(from) + 1);
      }
    }
  }

  void StackAlways() {
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      const Block& block = blocks_[i].block;
      if (block.size_bytes == 0) {
        continue;
      }
      if (block.begin == 0 && block.end >= end_) {
        offsets_[i] = base_bytes_;
        base_bytes_ += block.size_bytes;
      } else {
        rest_.push_back(i);
      }
    }
  }

  /// How long it is there.
  std::int64_t LengthOf(std::size_t i) const {
    const PagedBlock& paged = blocks_[i];
    return paged.block.end - paged.block.begin + (paged.return_at < 0 ? 0 : end_ - paged.return_at);
  }

  std::vector<Order> Orders() const {
    using Key = std::array<std::int64_t, 3>;
    std::vector<Order> orders{};
    const auto add = [&](auto key) {
      Order order = rest_;
      std::stable_sort(order.begin(), order.end(),
                       [&](std::size_t a, std::size_t b) { return key(a) > key(b); });
      orders.push_back(std::move(order));
    };
    const auto size = [&](std::size_t i) { return blocks_[i].block.size_bytes; };
    const auto begin = [&](std::size_t i) { return std::int64_t{blocks_[i].block.begin}; };
    const auto end = [&](std::size_t i) { return std::int64_t{blocks_[i].block.end}; };
    const auto area = [&](std::size_t i) { return size(i) / kAlignmentBytes * LengthOf(i); };
    const std::vector<std::function<Key(std::size_t)>> keys = {
        [&](std::size_t i) {
          return Key{0, size(i), LengthOf(i)};
        },
        [&](std::size_t i) {
          return Key{0, LengthOf(i), size(i)};
        },
        [&](std::size_t i) {
          return Key{0, area(i), size(i)};
        },
        [&](std::size_t i) {
          return Key{0, end(i), size(i)};
        },
        [&](std::size_t i) {
          return Key{0, -begin(i), size(i)};
        },
    };
    for (const auto& key : keys) {
      add(key);
    }
    const std::vector<std::int64_t> loads = MostLoads();
    const std::int64_t peak = *std::max_element(loads.begin(), loads.end());
    for (const std::int64_t classes : {1000, 100, 30, 10}) {
      const auto load = [&, classes](std::size_t i) {
        return loads[i] * classes / std::max<std::int64_t>(1, peak);
      };
      add([&](std::size_t i) { return Key{load(i), LengthOf(i), size(i)}; });
      add([&](std::size_t i) { return Key{load(i), size(i), LengthOf(i)}; });
      add([&](std::size_t i) { return Key{load(i), area(i), size(i)}; });
    }
    // First what is on both sides: that away for the shortest time lies lowest, so that the room
    // above is in one piece.
    for (const auto& key : keys) {
      add([&](std::size_t i) {
        const bool is_initial = IsInitial(blocks_[i]) && blocks_[i].block.begin == 0;
        return is_initial ? Key{1, LengthOf(i), 0} : key(i);
      });
    }
    return orders;
  }

  /// By block: the most bytes live at once during its life.
  std::vector<std::int64_t> MostLoads() const {
    std::vector<std::int64_t> change(static_cast<std::size_t>(end_) + 1, 0);
    const auto add = [&](std::int32_t begin, std::int32_t end, std::int64_t size_bytes) {
      change[static_cast<std::size_t>(begin)] += size_bytes;
      change[static_cast<std::size_t>(end)] -= size_bytes;
    };
    for (const PagedBlock& paged : blocks_) {
      add(paged.block.begin, paged.block.end, paged.block.size_bytes);
      if (paged.return_at >= 0) {
        add(paged.return_at, end_, paged.block.size_bytes);
      }
    }
    std::vector<std::int32_t> units{};
    std::int64_t live_bytes = 0;
    for (const std::int64_t bytes : change) {
      live_bytes += bytes;
      units.push_back(static_cast<std::int32_t>(live_bytes / kAlignmentBytes));
    }
    const PeakTree peaks(units);
    std::vector<std::int64_t> loads{};
    for (const PagedBlock& paged : blocks_) {
      const Block& block = paged.block;
      std::int32_t most = block.end > block.begin ? peaks.Max(block.begin, block.end - 1) : 0;
      if (paged.return_at >= 0) {
        most = std::max(most, peaks.Max(paged.return_at, end_ - 1));
      }
      loads.push_back(most);
    }
    return loads;
  }

  /// Residences that begin with the schedule, unlike requests of its first op.
  static bool IsInitial(const PagedBlock& paged) {
    return paged.target == nullptr || paged.return_at >= 0;
  }

  /// Whether the arena gets lower than before; else `offender_` is the place of the block that
  /// sticks out.
  bool TryOrder(const Order& order, FitRule rule) {
    skyline_.Clear();
    std::int64_t height_bytes = base_bytes_;
    for (std::size_t place = 0; place < order.size(); ++place) {
      const PagedBlock& paged = blocks_[order[place]];
      const Block& block = paged.block;
      const Block again = {.size_bytes = block.size_bytes, .begin = paged.return_at, .end = end_};
      const std::int64_t offset_bytes = paged.return_at < 0
                                            ? skyline_.Find(block, rule)
                                            : skyline_.FindForBoth(block, again, rule);
      height_bytes = std::max(height_bytes, base_bytes_ + offset_bytes + block.size_bytes);
      if (height_bytes >= height_bytes_) {
        offender_ = place;
        return false;
      }
      offsets_[order[place]] = base_bytes_ + offset_bytes;
      skyline_.Add(block, offset_bytes);
      if (paged.return_at >= 0) {
        skyline_.Add(again, offset_bytes);
      }
    }
    height_bytes_ = height_bytes;
    best_offsets_ = offsets_;
    return true;
  }

  const std::vector<PagedBlock>& blocks_;
  const std::int32_t end_;
  Skyline skyline_;                    // Of the order that is tried.
  Order rest_{};                       // All that comes or leaves.
  std::int64_t base_bytes_ = 0;        // Below it lies what is resident all the time.
  std::vector<std::int64_t> offsets_;  // By block.
  std::vector<std::int64_t> best_offsets_{};
  std::int64_t height_bytes_ = std::numeric_limits<std::int64_t>::max();
  std::size_t offender_ = 0;
  std::size_t next_offender_ = 0;
};

}  // namespace

PagedArena PlacePaged(const Profile& profile, const PagedArenaOptions& options,
                      PagedSchedule& schedule) {
  BlockMaker maker(profile, schedule);
  maker.Make();
  Placer placer(maker.blocks(), maker.end());
  placer.Place(options);
  for (std::size_t i = 0; i < maker.blocks().size(); ++i) {
    const PagedBlock& paged = maker.blocks()[i];
    if (paged.target != nullptr && paged.block.size_bytes > 0) {
      *paged.target = placer.offsets()[i];
    }
  }
  return {.initial = maker.Initial(placer.offsets()),
          .arena_bytes = placer.height_bytes(),
          .peak_bytes = maker.peak_bytes()};
}

}  // namespace stint
