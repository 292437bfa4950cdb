#include "planner/paged_arena.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "ir/units.h"
#include "planner/skyline.h"

namespace stint {
namespace {

constexpr std::size_t kNoBlock = static_cast<std::size_t>(-1);
// Blocks that stick out are placed first so many times.
constexpr int kPromotionCount = 150;

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

/// Puts blocks above a fixed stack of those that are resident at the start.
class Placer {
 public:
  Placer(const std::vector<PagedBlock>& blocks, std::int32_t end)
      : blocks_(blocks), end_(end), offsets_(blocks.size(), 0) {
    StackInitial();
  }

  std::int64_t height_bytes() const { return height_bytes_; }
  const std::vector<std::int64_t>& offsets() const { return best_offsets_; }

  void Place(std::int64_t enough_bytes) {
    Order best_order{};
    FitRule best_rule{};
    for (Order& order : Orders()) {
      for (const FitRule rule : {FitRule::kBest, FitRule::kFirst}) {
        if (height_bytes_ <= enough_bytes) {
          return;
        }
        if (TryOrder(order, rule)) {
          best_order = order;
          best_rule = rule;
        }
      }
    }
    for (int i = 0; i < kPromotionCount && height_bytes_ > enough_bytes; ++i) {
      if (!TryOrder(best_order, best_rule)) {
        const auto offender = best_order.begin() + static_cast<std::ptrdiff_t>(offender_);
        std::rotate(best_order.begin(), offender, offender + 1);
      }
    }
  }

 private:
  /// What is away for the shortest time lies lowest, so that the room above is in one piece.
  void StackInitial() {
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      if (blocks_[i].block.size_bytes == 0) {
        continue;
      }
      (blocks_[i].block.begin == 0 && IsInitial(blocks_[i]) ? stack_ : rest_).push_back(i);
    }
    const auto away = [&](std::size_t i) {
      return blocks_[i].return_at < 0 ? end_ - blocks_[i].block.end
                                      : blocks_[i].return_at - blocks_[i].block.end;
    };
    std::stable_sort(stack_.begin(), stack_.end(),
                     [&](std::size_t a, std::size_t b) { return away(a) < away(b); });
    for (const std::size_t i : stack_) {
      const Block& block = blocks_[i].block;
      const bool is_always = blocks_[i].return_at < 0 && block.end >= end_;
      offsets_[i] = stack_bytes_;
      if (is_always) {
        base_bytes_ = stack_bytes_ + block.size_bytes;
      }
      stack_bytes_ += block.size_bytes;
    }
  }

  /// Residences that begin with the schedule, unlike requests of its first op.
  static bool IsInitial(const PagedBlock& paged) {
    return paged.target == nullptr || paged.return_at >= 0;
  }

  std::vector<Order> Orders() const {
    std::vector<Order> orders{};
    const auto add = [&](auto key) {
      Order order = rest_;
      std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return key(blocks_[a].block) > key(blocks_[b].block);
      });
      orders.push_back(std::move(order));
    };
    using Key = std::pair<std::int64_t, std::int64_t>;
    add([](const Block& block) { return Key{block.size_bytes, block.end - block.begin}; });
    add([](const Block& block) { return Key{block.end - block.begin, block.size_bytes}; });
    add([](const Block& block) {
      return Key{block.size_bytes / kAlignmentBytes * (block.end - block.begin), block.size_bytes};
    });
    add([](const Block& block) { return Key{block.end, block.size_bytes}; });
    add([](const Block& block) { return Key{-block.begin, block.size_bytes}; });
    return orders;
  }

  /// Whether the arena gets lower than before; else `offender_` is the place of the block that
  /// sticks out.
  bool TryOrder(const Order& order, FitRule rule) {
    Skyline skyline(end_);
    std::int64_t height_bytes = stack_bytes_;
    for (const std::size_t i : stack_) {
      const PagedBlock& paged = blocks_[i];
      if (offsets_[i] < base_bytes_) {
        continue;
      }
      skyline.Add(paged.block, offsets_[i] - base_bytes_);
      if (paged.return_at >= 0) {
        skyline.Add({.size_bytes = paged.block.size_bytes, .begin = paged.return_at, .end = end_},
                    offsets_[i] - base_bytes_);
      }
    }
    for (std::size_t place = 0; place < order.size(); ++place) {
      const Block& block = blocks_[order[place]].block;
      const std::int64_t offset_bytes = skyline.Find(block, rule);
      height_bytes = std::max(height_bytes, base_bytes_ + offset_bytes + block.size_bytes);
      if (height_bytes >= height_bytes_) {
        offender_ = place;
        return false;
      }
      offsets_[order[place]] = base_bytes_ + offset_bytes;
      skyline.Add(block, offset_bytes);
    }
    height_bytes_ = height_bytes;
    best_offsets_ = offsets_;
    return true;
  }

  const std::vector<PagedBlock>& blocks_;
  const std::int32_t end_;
  Order stack_{};                      // Resident at the start, from the bottom.
  Order rest_{};                       //
  std::int64_t base_bytes_ = 0;        // Below it lies what is resident all the time.
  std::int64_t stack_bytes_ = 0;       //
  std::vector<std::int64_t> offsets_;  // By block.
  std::vector<std::int64_t> best_offsets_{};
  std::int64_t height_bytes_ = std::numeric_limits<std::int64_t>::max();
  std::size_t offender_ = 0;
};

}  // namespace

PagedArena PlacePaged(const Profile& profile, std::int64_t enough_bytes, PagedSchedule& schedule) {
  BlockMaker maker(profile, schedule);
  maker.Make();
  Placer placer(maker.blocks(), maker.end());
  placer.Place(enough_bytes);
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
