#include "planner/packing.h"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>
#include <optional>

#include "ir/errors.h"
#include "ir/units.h"
#include "planner/skyline.h"

namespace stint {
namespace {

// Times that a block that sticks out is placed before all others.
constexpr int kPromotionCount = 100;

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
                 const std::vector<std::array<std::int64_t, 2>>& keys) {
  Order order = indices;
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    if (keys[a] != keys[b]) {
      return keys[a] > keys[b];
    }
    return blocks[a].begin != blocks[b].begin ? blocks[a].begin < blocks[b].begin : a < b;
  });
  return order;
}

/// The portfolio, the order that wins most often first. Areas are counted in alignments, so that
/// they do not overflow.
std::vector<Order> Orders(const std::vector<Block>& blocks, const Order& indices,
                          const HighestLoad& highest_load) {
  std::vector<Order> orders{};
  std::vector<std::array<std::int64_t, 2>> keys(blocks.size());
  const auto add = [&](auto key) {
    for (const std::size_t i : indices) {
      const Block& block = blocks[i];
      keys[i] = key(block, std::int64_t{block.end} - block.begin);
    }
    orders.push_back(Descending(blocks, indices, keys));
  };
  using Key = std::array<std::int64_t, 2>;
  add([](const Block& block, std::int64_t length) { return Key{block.size_bytes, length}; });
  add([](const Block& block, std::int64_t length) { return Key{length, block.size_bytes}; });
  add([](const Block& block, std::int64_t length) {
    return Key{block.size_bytes / kAlignmentBytes * length, length};
  });
  add([&](const Block& block, std::int64_t length) {
    return Key{highest_load.During(block), block.size_bytes / kAlignmentBytes * length};
  });
  // Values of a forward pass die in the reverse order of their birth: those that die last at the
  // bottom, like a stack. The best of all where a budget keeps the load flat.
  add([&](const Block& block, std::int64_t) { return Key{highest_load.During(block), block.end}; });
  add([](const Block& block, std::int64_t) { return Key{block.end, block.size_bytes}; });
  add([](const Block& block, std::int64_t) { return Key{-block.begin, block.size_bytes}; });
  return orders;
}

/// What came of placing an order.
struct Attempt {
  std::optional<Packing> packing{};  // Empty if it got too high.
  std::size_t offender = 0;          // Place in the order of the block that did.
};

/// Places `order` above `base_bytes`; gives up when it gets as high as `limit_bytes`.
Attempt Place(const std::vector<Block>& blocks, const Order& order, FitRule rule, std::int32_t end,
              std::int64_t base_bytes, Packing packing, std::int64_t limit_bytes) {
  Skyline skyline(end);
  packing.height_bytes = base_bytes;
  for (std::size_t place = 0; place < order.size(); ++place) {
    const std::size_t i = order[place];
    const std::int64_t offset_bytes = skyline.Find(blocks[i], rule);
    packing.offsets[i] = base_bytes + offset_bytes;
    packing.height_bytes =
        std::max(packing.height_bytes, packing.offsets[i] + blocks[i].size_bytes);
    if (packing.height_bytes >= limit_bytes) {
      return {.offender = place};
    }
    skyline.Add(blocks[i], offset_bytes);
  }
  return {.packing = std::move(packing)};
}

}  // namespace

Packing Pack(const std::vector<Block>& blocks) {
  Packing start{.offsets = std::vector<std::int64_t>(blocks.size(), 0)};
  if (blocks.empty()) {
    return start;
  }
  std::int32_t begin = std::numeric_limits<std::int32_t>::max();
  std::int32_t end = 0;
  for (const Block& block : blocks) {
    Check(block.size_bytes > 0 && block.size_bytes % kAlignmentBytes == 0 && block.begin >= 0 &&
              block.begin < block.end,
          "blocks to pack have a size in steps of 512 and a life");
    begin = std::min(begin, block.begin);
    end = std::max(end, block.end);
  }
  const HighestLoad highest_load(LoadByTick(blocks, end));
  start.load_bytes = highest_load.During({.begin = begin, .end = end});
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
  std::optional<Packing> best{};
  std::int64_t limit_bytes = std::numeric_limits<std::int64_t>::max();
  Order best_order{};
  FitRule best_rule{};
  for (const Order& order : Orders(blocks, rest, highest_load)) {
    for (const FitRule rule : {FitRule::kBest, FitRule::kFirst}) {
      if (best && best->height_bytes == best->load_bytes) {
        return *best;
      }
      Attempt attempt = Place(blocks, order, rule, end, base_bytes, start, limit_bytes);
      if (attempt.packing) {
        limit_bytes = attempt.packing->height_bytes;
        best = std::move(attempt.packing);
        best_order = order;
        best_rule = rule;
      }
    }
  }
  // A flat load leaves gaps that no order by keys avoids; the block that sticks out gets its pick.
  for (int i = 0; i < kPromotionCount && best->height_bytes > best->load_bytes; ++i) {
    Attempt attempt = Place(blocks, best_order, best_rule, end, base_bytes, start, limit_bytes);
    if (attempt.packing) {
      limit_bytes = attempt.packing->height_bytes;
      best = std::move(attempt.packing);
      continue;
    }
    const auto offender = best_order.begin() + static_cast<std::ptrdiff_t>(attempt.offender);
    std::rotate(best_order.begin(), offender, offender + 1);
  }
  return *best;
}

}  // namespace stint
