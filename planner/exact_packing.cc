#include "planner/exact_packing.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <numeric>
#include <utility>

namespace stint {
namespace {

constexpr std::int64_t kWall = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kNodesBetweenLooks = 64;  // At the clock.
constexpr std::size_t kMinDeadEnds = std::size_t{1} << 12;
constexpr std::size_t kMaxDeadEnds = std::size_t{1} << 18;

constexpr std::size_t At(std::int32_t index) { return static_cast<std::size_t>(index); }

constexpr std::uint64_t Mix(std::uint64_t value) {
  value = (value ^ (value >> 32)) * 0xd6e8feb86659fd93U;
  value = (value ^ (value >> 32)) * 0xd6e8feb86659fd93U;
  return value ^ (value >> 32);
}

bool IsOver(const PackingSearchLimits& limits) {
  const auto is_set = [](const std::atomic<bool>* flag) {
    return flag != nullptr && flag->load(std::memory_order_relaxed);
  };
  return is_set(limits.stop) || is_set(limits.is_lost) ||
         std::chrono::steady_clock::now() >= limits.deadline;
}

}  // namespace

PackingSearch::PackingSearch(const PackingSections& sections, std::int64_t height_bytes,
                             PackingOrder order)
    : sections_(sections) {
  const std::size_t section_count = At(sections.section_count);
  const std::size_t block_count = sections.blocks.size();
  slack_bytes_.assign(section_count, height_bytes);
  for (const SectionBlock& block : sections.blocks) {
    for (std::int32_t s = block.begin; s < block.end; ++s) {
      slack_bytes_[At(s)] -= block.size_bytes;
    }
  }
  top_bytes_.assign(section_count, 0);
  weight_.assign(section_count, 1);
  offsets_.assign(block_count, -1);
  floor_bytes_.assign(block_count, 0);
  crossing_.assign(section_count, 0);
  lowest_bytes_.resize(static_cast<std::size_t>(std::bit_width(section_count)));
  for (std::vector<std::int64_t>& row : lowest_bytes_) {
    row.assign(section_count, 0);
  }
  valley_begin_.assign(section_count, kNone);
  valley_end_.assign(section_count, kNone);
  smallest_bytes_.assign(section_count, 0);
  cover_count_.assign(section_count + 1, 0);
  dead_ends_.resize(std::clamp(std::bit_ceil(64 * block_count), kMinDeadEnds, kMaxDeadEnds));
  RankBlocks(order);
}

void PackingSearch::RankBlocks(PackingOrder order) {
  using Key = std::array<double, 4>;  // The last one tells equal blocks from others.
  std::vector<Key> keys{};
  for (const SectionBlock& block : sections_.blocks) {
    std::int64_t least_slack_bytes = kWall;
    for (std::int32_t s = block.begin; s < block.end; ++s) {
      least_slack_bytes = std::min(least_slack_bytes, slack_bytes_[At(s)]);
    }
    const auto load = -static_cast<double>(least_slack_bytes);
    const auto size = static_cast<double>(block.size_bytes);
    const auto length = static_cast<double>(block.end - block.begin);
    const double area = size * length;
    const auto begin = static_cast<double>(block.begin);
    switch (order) {
      case PackingOrder::kSize:
        keys.push_back({size, length, load, begin});
        break;
      case PackingOrder::kLength:
        keys.push_back({length, area, load, begin});
        break;
      case PackingOrder::kLoadLength:
        keys.push_back({load, length, area, begin});
        break;
      case PackingOrder::kLoadArea:
        keys.push_back({load, area, length, begin});
        break;
      case PackingOrder::kArea:
        keys.push_back({area, length, load, begin});
        break;
    }
  }
  std::vector<std::size_t> by_key(keys.size());
  std::iota(by_key.begin(), by_key.end(), std::size_t{0});
  std::ranges::stable_sort(by_key, [&](std::size_t a, std::size_t b) { return keys[a] > keys[b]; });
  rank_.resize(keys.size());
  for (std::size_t place = 0; place < by_key.size(); ++place) {
    rank_[by_key[place]] = static_cast<std::int32_t>(place);
  }
}

PackingSearch::Marks PackingSearch::CurrentMarks() const {
  return {.skyline = skyline_changes_.size(),
          .floor = floor_changes_.size(),
          .placed = placed_.size(),
          .lists = lists_.size(),
          .parts = parts_.size()};
}

void PackingSearch::GoBackTo(const Marks& marks) {
  for (; skyline_changes_.size() > marks.skyline; skyline_changes_.pop_back()) {
    const SkylineChange& change = skyline_changes_.back();
    top_bytes_[At(change.section)] = change.top_bytes;
    slack_bytes_[At(change.section)] = change.slack_bytes;
  }
  for (; floor_changes_.size() > marks.floor; floor_changes_.pop_back()) {
    floor_bytes_[At(floor_changes_.back().block)] = floor_changes_.back().floor_bytes;
  }
  for (; placed_.size() > marks.placed; placed_.pop_back()) {
    offsets_[At(placed_.back())] = -1;
  }
  lists_.resize(marks.lists);
  parts_.resize(marks.parts);
}

void PackingSearch::Reset() {
  GoBackTo({});
  choices_.clear();
  lists_.resize(sections_.blocks.size());
  std::iota(lists_.begin(), lists_.end(), 0);
  parts_.push_back({.section_end = sections_.section_count,
                    .list_end = lists_.size(),
                    .live_count = lists_.size()});
  agenda_ = 0;
}

PackingAnswer PackingSearch::Run(const PackingSearchLimits& limits) {
  Reset();
  if (std::ranges::any_of(slack_bytes_, [](std::int64_t slack) { return slack < 0; })) {
    return PackingAnswer::kImpossible;
  }
  for (std::int64_t node = 0; agenda_ != kNone; ++node) {
    if (node >= limits.node_limit || (node % kNodesBetweenLooks == 0 && IsOver(limits))) {
      return PackingAnswer::kUnknown;
    }
    Part part = parts_[At(agenda_)];
    if (!Compact(part)) {
      agenda_ = part.next;
      continue;
    }
    if (Split(part)) {
      continue;
    }
    bool is_open = RaiseToFloors(part);
    if (is_open) {
      const StateKey key = KeyOf(part);
      is_open = dead_ends_[key.low % dead_ends_.size()] != key;
      if (is_open) {
        AddChoice(part, ChooseTarget(part), key);
      }
    }
    if (!is_open && !GiveUpPart(part.parent)) {
      return PackingAnswer::kImpossible;
    }
    if (!TakeNextOption()) {
      return PackingAnswer::kImpossible;
    }
  }
  return PackingAnswer::kFound;
}

/// Leaves placed blocks out of the part's list, now and then, so that lists stay short and all of
/// them together, too. False if nothing is left to place.
bool PackingSearch::Compact(Part& part) {
  step_count_ += static_cast<std::int64_t>(part.list_end - part.list_begin) + part.section_end -
                 part.section_begin;
  if (part.live_count == 0) {
    return false;
  }
  if (2 * part.live_count <= part.list_end - part.list_begin) {
    const std::size_t begin = lists_.size();
    for (std::size_t i = part.list_begin; i < part.list_end; ++i) {
      const std::int32_t block = lists_[i];
      if (!IsPlaced(block)) {
        lists_.push_back(block);
      }
    }
    part.list_begin = begin;
    part.list_end = lists_.size();
  }
  return true;
}

/// Replaces `part` on the agenda by several, if no block connects them any more; small ones come
/// first, since to see them fail costs little.
bool PackingSearch::Split(const Part& part) {
  for (std::int32_t s = part.section_begin; s < part.section_end; ++s) {
    crossing_[At(s)] = 0;
  }
  for (std::size_t i = part.list_begin; i < part.list_end; ++i) {
    if (!IsPlaced(lists_[i])) {
      const SectionBlock& block = sections_.blocks[At(lists_[i])];
      ++crossing_[At(block.begin)];
      --crossing_[At(block.end - 1)];
    }
  }
  std::vector<Part> pieces{};
  std::int32_t crossing = 0;
  std::int32_t begin = part.section_begin;
  for (std::int32_t s = part.section_begin; s < part.section_end; ++s) {
    crossing += crossing_[At(s)];
    if (crossing == 0) {
      if (begin == part.section_begin && s + 1 == part.section_end) {
        return false;
      }
      pieces.push_back({.section_begin = begin, .section_end = s + 1, .parent = part.parent});
      begin = s + 1;
    }
  }
  // Sections without blocks are pieces of their own, and empty.
  for (Part& piece : pieces) {
    piece.list_begin = lists_.size();
    for (std::size_t i = part.list_begin; i < part.list_end; ++i) {
      const std::int32_t block = lists_[i];
      const std::int32_t section = sections_.blocks[At(block)].begin;
      if (!IsPlaced(block) && piece.section_begin <= section && section < piece.section_end) {
        lists_.push_back(block);
      }
    }
    piece.list_end = lists_.size();
    piece.live_count = piece.list_end - piece.list_begin;
  }
  std::ranges::stable_sort(pieces, std::greater<>{}, &Part::live_count);
  agenda_ = part.next;  // The last one put there is the first to be packed.
  for (Part& piece : pieces) {
    if (piece.live_count > 0) {
      piece.next = agenda_;
      agenda_ = static_cast<std::int32_t>(parts_.size());
      parts_.push_back(piece);
    }
  }
  return true;
}

/// The lowest floor of a block over each section. Each block is entered as two spans of 2^level
/// sections that cover it; levels are then handed down by halves.
void PackingSearch::FindLowestFloors(const Part& part) {
  const std::int32_t section_count = part.section_end - part.section_begin;
  const auto level_count =
      static_cast<int>(std::bit_width(static_cast<std::uint32_t>(section_count)));
  for (int level = 0; level < level_count; ++level) {
    std::vector<std::int64_t>& row = lowest_bytes_[static_cast<std::size_t>(level)];
    std::fill(row.begin() + part.section_begin, row.begin() + part.section_end, kWall);
  }
  for (std::size_t i = part.list_begin; i < part.list_end; ++i) {
    if (!IsPlaced(lists_[i])) {
      const SectionBlock& block = sections_.blocks[At(lists_[i])];
      const std::int64_t floor_bytes = floor_bytes_[At(lists_[i])];
      const auto length = static_cast<std::uint32_t>(block.end - block.begin);
      const auto covered = static_cast<std::int32_t>(std::bit_floor(length));
      const int level = static_cast<int>(std::bit_width(length)) - 1;
      std::vector<std::int64_t>& row = lowest_bytes_[static_cast<std::size_t>(level)];
      std::int64_t& first = row[At(block.begin)];
      first = std::min(first, floor_bytes);
      std::int64_t& last = row[At(block.end - covered)];
      last = std::min(last, floor_bytes);
    }
  }
  std::int32_t half =
      static_cast<std::int32_t>(std::bit_floor(static_cast<std::uint32_t>(section_count))) / 2;
  for (int level = level_count - 1; level > 0; --level, half /= 2) {
    const std::vector<std::int64_t>& row = lowest_bytes_[static_cast<std::size_t>(level)];
    std::vector<std::int64_t>& below = lowest_bytes_[static_cast<std::size_t>(level) - 1];
    for (std::int32_t s = part.section_begin; s + 2 * half <= part.section_end; ++s) {
      below[At(s)] = std::min(below[At(s)], row[At(s)]);
      below[At(s + half)] = std::min(below[At(s + half)], row[At(s)]);
    }
  }
}

/// Nothing will lie in a section below the lowest floor of its blocks. False if that leaves too
/// little room.
bool PackingSearch::RaiseToFloors(const Part& part) {
  FindLowestFloors(part);
  const std::vector<std::int64_t>& lowest_bytes = lowest_bytes_.front();
  for (std::int32_t s = part.section_begin; s < part.section_end; ++s) {
    const std::int64_t lost_bytes = lowest_bytes[At(s)] - top_bytes_[At(s)];
    if (lost_bytes > slack_bytes_[At(s)]) {
      ++weight_[At(s)];
      return false;
    }
    if (lost_bytes > 0) {
      SetTop(s, lowest_bytes[At(s)], slack_bytes_[At(s)] - lost_bytes);
    }
  }
  return true;
}

PackingSearch::StateKey PackingSearch::KeyOf(const Part& part) const {
  StateKey key{};
  const auto add = [&key](std::uint64_t value) {
    const std::uint64_t mixed = Mix(value);
    key.low += mixed;
    key.high += mixed * 0x9e3779b97f4a7c15U ^ (mixed >> 7);
  };
  for (std::size_t i = part.list_begin; i < part.list_end; ++i) {
    if (!IsPlaced(lists_[i])) {
      add(static_cast<std::uint64_t>(lists_[i]) * 0x9e3779b97f4a7c15U + 1);
    }
  }
  for (std::int32_t s = part.section_begin; s < part.section_end; ++s) {
    add(static_cast<std::uint64_t>(top_bytes_[At(s)]) * 0x2545f4914f6cdd1dU +
        Mix(static_cast<std::uint64_t>(s) + 2));
  }
  return key;
}

/// Fills valley_begin_ and valley_end_.
void PackingSearch::FindValleys(const Part& part) {
  for (std::int32_t begin = part.section_begin; begin < part.section_end;) {
    std::int32_t end = begin + 1;
    while (end < part.section_end && top_bytes_[At(end)] == top_bytes_[At(begin)]) {
      ++end;
    }
    const bool is_valley =
        (begin == part.section_begin || top_bytes_[At(begin - 1)] > top_bytes_[At(begin)]) &&
        (end == part.section_end || top_bytes_[At(end)] > top_bytes_[At(begin)]);
    std::fill(valley_begin_.begin() + begin, valley_begin_.begin() + end,
              is_valley ? begin : kNone);
    valley_end_[At(begin)] = end;
    smallest_bytes_[At(begin)] = kWall;
    begin = end;
  }
}

/// The section with the fewest choices, in proportion to how often sections made trouble.
PackingSearch::Target PackingSearch::ChooseTarget(const Part& part) {
  FindValleys(part);
  std::fill(cover_count_.begin() + part.section_begin, cover_count_.begin() + part.section_end + 1,
            0);
  for (std::size_t i = part.list_begin; i < part.list_end; ++i) {
    if (IsPlaced(lists_[i])) {
      continue;
    }
    const SectionBlock& block = sections_.blocks[At(lists_[i])];
    const std::int32_t valley = valley_begin_[At(block.begin)];
    if (valley != kNone && block.end <= valley_end_[At(valley)]) {
      ++cover_count_[At(block.begin)];
      --cover_count_[At(block.end)];
      smallest_bytes_[At(valley)] = std::min(smallest_bytes_[At(valley)], block.size_bytes);
    }
  }
  Target best{};
  double best_score = std::numeric_limits<double>::infinity();
  std::int32_t cover_count = 0;
  for (std::int32_t s = part.section_begin; s < part.section_end; ++s) {
    cover_count += cover_count_[At(s)];
    const std::int32_t valley = valley_begin_[At(s)];
    if (valley == kNone) {
      continue;
    }
    const std::int32_t valley_end = valley_end_[At(valley)];
    const std::int64_t left_bytes =
        valley == part.section_begin ? kWall : top_bytes_[At(valley - 1)];
    const std::int64_t right_bytes =
        valley_end == part.section_end ? kWall : top_bytes_[At(valley_end)];
    // Whatever lies over it higher up sticks out, or lies on a block beside it.
    const std::int64_t raise_bytes = std::min(std::min(left_bytes, right_bytes) - top_bytes_[At(s)],
                                              smallest_bytes_[At(valley)]);
    const bool can_stay_empty = raise_bytes <= slack_bytes_[At(s)];
    const double score = (cover_count + (can_stay_empty ? 1 : 0)) / weight_[At(s)];
    if (score < best_score) {
      best_score = score;
      best = {.section = s,
              .valley_begin = valley,
              .valley_end = valley_end,
              .raise_bytes = can_stay_empty ? raise_bytes : 0};
    }
  }
  return best;
}

void PackingSearch::AddChoice(const Part& part, const Target& target, const StateKey& key) {
  const std::size_t begin = lists_.size();
  for (std::size_t i = part.list_begin; i < part.list_end; ++i) {
    const std::int32_t candidate = lists_[i];
    const SectionBlock& block = sections_.blocks[At(candidate)];
    if (!IsPlaced(candidate) && target.valley_begin <= block.begin &&
        block.end <= target.valley_end && block.begin <= target.section &&
        target.section < block.end) {
      lists_.push_back(candidate);
    }
  }
  const auto options = lists_.begin() + static_cast<std::ptrdiff_t>(begin);
  std::sort(options, lists_.end(),
            [this](std::int32_t a, std::int32_t b) { return rank_[At(a)] < rank_[At(b)]; });
  // Of equal blocks, which have neighbouring ranks, the first stands for all.
  lists_.erase(std::unique(options, lists_.end(),
                           [this](std::int32_t a, std::int32_t b) {
                             return sections_.blocks[At(a)] == sections_.blocks[At(b)];
                           }),
               lists_.end());
  if (target.raise_bytes > 0) {
    lists_.push_back(kNone);
  }
  choices_.push_back({.part = part,
                      .section = target.section,
                      .raise_bytes = target.raise_bytes,
                      .next_option = begin,
                      .option_end = lists_.size(),
                      .key = key,
                      .marks = CurrentMarks()});
}

/// Goes on with the last choice that has an option left. False if there is none.
bool PackingSearch::TakeNextOption() {
  while (true) {
    Choice& choice = choices_.back();
    GoBackTo(choice.marks);
    if (choice.next_option < choice.option_end) {
      break;
    }
    dead_ends_[choice.key.low % dead_ends_.size()] = choice.key;
    ++weight_[At(choice.section)];
    if (!GiveUpPart(choice.part.parent)) {
      return false;
    }
  }
  Choice& choice = choices_.back();
  Part rest = choice.part;
  rest.parent = static_cast<std::int32_t>(choices_.size()) - 1;
  const std::int32_t option = lists_[choice.next_option++];
  if (option == kNone) {
    RaiseSection(rest, choice.section, choice.raise_bytes);
  } else {
    PlaceBlock(rest, option);
    --rest.live_count;
  }
  agenda_ = static_cast<std::int32_t>(parts_.size());
  parts_.push_back(rest);
  return true;
}

/// A part that cannot be packed condemns the option that made it, whatever was decided in other
/// parts since. False if no option made it.
bool PackingSearch::GiveUpPart(std::int32_t parent) {
  if (parent == kNone) {
    return false;
  }
  choices_.resize(At(parent) + 1);
  return true;
}

void PackingSearch::PlaceBlock(const Part& part, std::int32_t block) {
  const SectionBlock& placed = sections_.blocks[At(block)];
  const std::int64_t offset_bytes = top_bytes_[At(placed.begin)];
  const std::int64_t top_bytes = offset_bytes + placed.size_bytes;
  offsets_[At(block)] = offset_bytes;
  placed_.push_back(block);
  for (std::int32_t s = placed.begin; s < placed.end; ++s) {
    SetTop(s, top_bytes, slack_bytes_[At(s)]);
  }
  LiftFloors(part, placed.begin, placed.end, top_bytes);
}

void PackingSearch::RaiseSection(const Part& part, std::int32_t section, std::int64_t raise_bytes) {
  const std::int64_t top_bytes = top_bytes_[At(section)] + raise_bytes;
  SetTop(section, top_bytes, slack_bytes_[At(section)] - raise_bytes);
  LiftFloors(part, section, section + 1, top_bytes);
}

void PackingSearch::SetTop(std::int32_t section, std::int64_t top_bytes, std::int64_t slack_bytes) {
  skyline_changes_.push_back({.section = section,
                              .top_bytes = top_bytes_[At(section)],
                              .slack_bytes = slack_bytes_[At(section)]});
  top_bytes_[At(section)] = top_bytes;
  slack_bytes_[At(section)] = slack_bytes;
}

/// No block over sections [begin, end) can lie below `top_bytes` any more.
void PackingSearch::LiftFloors(const Part& part, std::int32_t begin, std::int32_t end,
                               std::int64_t top_bytes) {
  for (std::size_t i = part.list_begin; i < part.list_end; ++i) {
    const std::int32_t other = lists_[i];
    const SectionBlock& block = sections_.blocks[At(other)];
    std::int64_t& floor_bytes = floor_bytes_[At(other)];
    if (block.begin < end && begin < block.end && floor_bytes < top_bytes && !IsPlaced(other)) {
      floor_changes_.push_back({.block = other, .floor_bytes = floor_bytes});
      floor_bytes = top_bytes;
    }
  }
}

}  // namespace stint
