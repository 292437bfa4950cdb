#include "planner/packing.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <limits>
#include <numeric>
#include <optional>
#include <thread>

#include "ir/errors.h"
#include "planner/packing_race.h"
#include "planner/packing_sections.h"
#include "planner/skyline.h"

namespace stint {
namespace {

// Of the steps that are left, the share that a height between the load and the best one gets.
constexpr std::int64_t kShareOfSteps = 4;

/// Block indices in the order they are placed.
using Order = std::vector<std::size_t>;

/// Bytes alive during each tick.
std::vector<std::int64_t> LoadByTick(const std::vector<Block>& blocks, std::int32_t end) {
  std::vector<std::int64_t> load_bytes(static_cast<std::size_t>(end) + 1, 0);
  for (const Block& block : blocks) {
    load_bytes[static_cast<std::size_t>(block.begin)] += block.size_bytes;
    load_bytes[static_cast<std::size_t>(block.end)] -= block.size_bytes;
  }
  std::partial_sum(load_bytes.begin(), load_bytes.end(), load_bytes.begin());
  return load_bytes;
}

/// The most bytes alive at any moment of each block's life, by recursive halving of a sparse table.
class HighestLoad {
 public:
  explicit HighestLoad(std::vector<std::int64_t> load_bytes) {
    rows_.push_back(std::move(load_bytes));
    for (std::size_t width = 1; 2 * width <= rows_.front().size(); width *= 2) {
      const std::vector<std::int64_t>& below = rows_.back();
      std::vector<std::int64_t> row(below.size() - width);
      for (std::size_t i = 0; i < row.size(); ++i) {
        row[i] = std::max(below[i], below[i + width]);
      }
      rows_.push_back(std::move(row));
    }
  }

  std::int64_t During(const Block& block) const {
    const auto length = static_cast<std::size_t>(block.end - block.begin);
    std::size_t row = 0;
    while ((std::size_t{2} << row) <= length) {
      ++row;
    }
    return std::max(rows_[row][static_cast<std::size_t>(block.begin)],
                    rows_[row][static_cast<std::size_t>(block.end) - (std::size_t{1} << row)]);
  }

 private:
  std::vector<std::vector<std::int64_t>> rows_{};  // Row r: maxima over 2^r ticks.
};

/// `blocks` by descending keys; equal ones by ascending begin, then index.
Order Descending(const std::vector<Block>& blocks, const Order& indices,
                 const std::vector<std::array<double, 2>>& keys) {
  Order order = indices;
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    if (keys[a] != keys[b]) {
      return keys[a] > keys[b];
    }
    return blocks[a].begin != blocks[b].begin ? blocks[a].begin < blocks[b].begin : a < b;
  });
  return order;
}

/// The portfolio, the order that wins most often first.
std::vector<Order> Orders(const std::vector<Block>& blocks, const Order& indices,
                          const HighestLoad& highest_load) {
  std::vector<Order> orders{};
  using Key = std::array<double, 2>;
  std::vector<Key> keys(blocks.size());
  const auto add = [&](auto key) {
    for (const std::size_t i : indices) {
      const Block& block = blocks[i];
      keys[i] = key(block, static_cast<double>(block.size_bytes),
                    static_cast<double>(block.end) - block.begin);
    }
    orders.push_back(Descending(blocks, indices, keys));
  };
  const auto load_during = [&](const Block& block) {
    return static_cast<double>(highest_load.During(block));
  };
  add([](const Block&, double size, double length) { return Key{size, length}; });
  add([](const Block&, double size, double length) { return Key{length, size}; });
  add([](const Block&, double size, double length) { return Key{size * length, length}; });
  add([&](const Block& block, double size, double length) {
    return Key{load_during(block), size * length};
  });
  // Values of a forward pass die in the reverse order of their birth: those that die last at the
  // bottom, like a stack. The best of all where a budget keeps the load flat.
  add([&](const Block& block, double, double) {
    return Key{load_during(block), static_cast<double>(block.end)};
  });
  add([](const Block& block, double size, double) {
    return Key{static_cast<double>(block.end), size};
  });
  add([](const Block& block, double size, double) {
    return Key{-static_cast<double>(block.begin), size};
  });
  return orders;
}

/// Places `order` above `base_bytes`. Empty if it gets as high as `limit_bytes`.
std::optional<Packing> Place(const std::vector<Block>& blocks, const Order& order, FitRule rule,
                             std::int32_t end, std::int64_t base_bytes, Packing packing,
                             std::int64_t limit_bytes) {
  Skyline skyline(end);
  packing.height_bytes = base_bytes;
  for (const std::size_t i : order) {
    const std::int64_t offset_bytes = skyline.Find(blocks[i], rule);
    packing.offsets[i] = base_bytes + offset_bytes;
    packing.height_bytes =
        std::max(packing.height_bytes, packing.offsets[i] + blocks[i].size_bytes);
    if (packing.height_bytes >= limit_bytes) {
      return std::nullopt;
    }
    skyline.Add(blocks[i], offset_bytes);
  }
  return packing;
}

std::chrono::steady_clock::time_point DeadlineAfter(double time_limit_s) {
  return std::chrono::steady_clock::now() +
         std::chrono::duration_cast<std::chrono::steady_clock::duration>(
             std::chrono::duration<double>(time_limit_s));
}

bool IsOver(const RaceLimits& limits) {
  return (limits.stop != nullptr && limits.stop->load()) ||
         std::chrono::steady_clock::now() >= limits.deadline;
}

/// Lowers `best` by search: the blocks in `order` are placed anew above `base_bytes`.
void SearchLower(const std::vector<Block>& blocks, const Order& order, std::int64_t base_bytes,
                 const PackingOptions& options, Packing& best) {
  std::vector<Block> searched{};
  std::int64_t unit_bytes = 0;  // All heights are multiples of it.
  for (const std::size_t i : order) {
    searched.push_back(blocks[i]);
    unit_bytes = std::gcd(unit_bytes, blocks[i].size_bytes);
  }
  const PackingSections sections = MakeSections(searched);
  RaceLimits limits{.deadline = DeadlineAfter(options.time_limit_s),
                    .stop = options.stop,
                    .thread_count = options.thread_count > 0
                                        ? options.thread_count
                                        : static_cast<std::int32_t>(
                                              std::max(std::thread::hardware_concurrency(), 1U))};
  std::int64_t steps_left = options.step_limit;
  const bool has_goal = options.goal_bytes > 0;
  if (has_goal && options.goal_bytes < best.lower_bound_bytes) {
    return;
  }
  // To try next.
  std::int64_t height_bytes =
      has_goal ? base_bytes + (options.goal_bytes - base_bytes) / unit_bytes * unit_bytes
               : best.lower_bound_bytes;
  while (height_bytes < best.height_bytes && steps_left > 0 && !IsOver(limits)) {
    limits.step_limit =
        has_goal ? steps_left : std::max<std::int64_t>(steps_left / kShareOfSteps, 1);
    RaceResult result = RacePacking(sections, height_bytes - base_bytes, limits);
    steps_left -= result.step_count;
    if (result.answer == PackingAnswer::kFound) {
      best.height_bytes = base_bytes;
      for (std::size_t i = 0; i < order.size(); ++i) {
        best.offsets[order[i]] = base_bytes + result.offsets[i];
        best.height_bytes =
            std::max(best.height_bytes, best.offsets[order[i]] + searched[i].size_bytes);
      }
    } else if (result.answer == PackingAnswer::kImpossible) {
      best.lower_bound_bytes = height_bytes + unit_bytes;
    }
    if (has_goal) {
      return;
    }
    // Halfway up, or after a success halfway down.
    const std::int64_t low_bytes = result.answer == PackingAnswer::kUnknown
                                       ? height_bytes + unit_bytes
                                       : best.lower_bound_bytes;
    height_bytes = low_bytes + (best.height_bytes - low_bytes) / 2 / unit_bytes * unit_bytes;
  }
}

}  // namespace

Packing Pack(const std::vector<Block>& blocks, const PackingOptions& options) {
  Packing start{.offsets = std::vector<std::int64_t>(blocks.size(), 0)};
  if (blocks.empty()) {
    return start;
  }
  std::int32_t begin = std::numeric_limits<std::int32_t>::max();
  std::int32_t end = 0;
  for (const Block& block : blocks) {
    Check(block.size_bytes > 0 && block.begin >= 0 && block.begin < block.end,
          "blocks to pack have a size and a life");
    begin = std::min(begin, block.begin);
    end = std::max(end, block.end);
  }
  const HighestLoad highest_load(LoadByTick(blocks, end));
  start.load_bytes = highest_load.During({.begin = begin, .end = end});
  start.lower_bound_bytes = start.load_bytes;
  // What lives all the time lies at the bottom: any other place is no better.
  Order rest{};
  std::int64_t base_bytes = 0;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (blocks[i].begin == begin && blocks[i].end == end) {
      start.offsets[i] = base_bytes;
      base_bytes += blocks[i].size_bytes;
    } else {
      rest.push_back(i);
    }
  }
  const std::int64_t enough_bytes = std::max(start.load_bytes, options.goal_bytes);
  std::optional<Packing> best{};
  for (const Order& order : Orders(blocks, rest, highest_load)) {
    for (const FitRule rule : {FitRule::kBest, FitRule::kFirst}) {
      if (best && best->height_bytes <= enough_bytes) {
        return *best;
      }
      std::optional<Packing> placed =
          Place(blocks, order, rule, end, base_bytes, start,
                best ? best->height_bytes : std::numeric_limits<std::int64_t>::max());
      if (placed) {
        best = std::move(placed);
      }
    }
  }
  SearchLower(blocks, rest, base_bytes, options, *best);
  return *best;
}

}  // namespace stint
