// Adds to ranges of an array and finds maxima of ranges, each in O(log n): the memory profile of a
// plan that changes all the time.
//
//     array       5 3 4 9         node          9
//                             (of its part:  -4   0      each node above its parent's other child:
//                              max less     0 -2 -5 0    the larger of two siblings is 0
//                              the parent)
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace stint {

/// An array of zeros at first.
class PeakTree {
 public:
  explicit PeakTree(std::int32_t count)
      : leaf_count_(std::bit_ceil(static_cast<std::uint32_t>(std::max(count, 1)))),
        above_(2 * leaf_count_, 0) {}

  /// Of these elements, none of them negative. O(n).
  explicit PeakTree(const std::vector<std::int32_t>& elements)
      : PeakTree(static_cast<std::int32_t>(elements.size())) {
    std::copy(elements.begin(), elements.end(),
              above_.begin() + static_cast<std::ptrdiff_t>(leaf_count_));
    for (std::size_t node = leaf_count_ - 1; node > 0; --node) {
      Settle(node);
    }
  }

  /// Adds `amount` to the elements [first, last].
  void Add(std::int32_t first, std::int32_t last, std::int32_t amount) {
    std::size_t left = leaf_count_ + static_cast<std::size_t>(first);
    std::size_t right = leaf_count_ + static_cast<std::size_t>(last);
    above_[left] += amount;
    if (left != right) {
      above_[right] += amount;
    }
    // Between the two paths to the common ancestor lie the whole subtrees of the range.
    while (left / 2 != right / 2) {
      if (left % 2 == 0) {
        above_[left + 1] += amount;
      }
      if (right % 2 == 1) {
        above_[right - 1] += amount;
      }
      left /= 2;
      right /= 2;
      Settle(left);
      Settle(right);
    }
    while (left /= 2) {
      Settle(left);
    }
  }

  /// Of the elements [first, last].
  std::int32_t Max(std::int32_t first, std::int32_t last) const {
    std::size_t left = leaf_count_ + static_cast<std::size_t>(first);
    std::size_t right = leaf_count_ + static_cast<std::size_t>(last);
    std::int32_t left_max = above_[left];
    std::int32_t right_max = above_[right];
    while (left / 2 != right / 2) {
      if (left % 2 == 0) {
        left_max = std::max(left_max, above_[left + 1]);
      }
      if (right % 2 == 1) {
        right_max = std::max(right_max, above_[right - 1]);
      }
      left /= 2;
      right /= 2;
      left_max += above_[left];
      right_max += above_[right];
    }
    std::int32_t result = std::max(left_max, right_max);
    while (left /= 2) {
      result += above_[left];
    }
    return result;
  }

  std::int32_t Max() const { return above_[1]; }

  /// The first element above `limit`; -1 if there is none.
  std::int32_t FirstAbove(std::int32_t limit) const {
    if (Max() <= limit) return -1;
    std::size_t node = 1;
    std::int32_t above_parent = above_[1];
    while (node < leaf_count_) {
      node *= 2;
      if (above_parent + above_[node] <= limit) ++node;
      above_parent += above_[node];
    }
    return static_cast<std::int32_t>(node - leaf_count_);
  }

  /// The first element that is as large as the largest.
  std::int32_t ArgMax() const {
    std::size_t node = 1;
    while (node < leaf_count_) {
      node = 2 * node + (above_[2 * node] == 0 ? 0 : 1);
    }
    return static_cast<std::int32_t>(node - leaf_count_);
  }

 private:
  /// Without it, a range added whole and taken away in parts would leave amounts that grow.
  void Settle(std::size_t node) {
    const std::int32_t most = std::max(above_[2 * node], above_[2 * node + 1]);
    above_[2 * node] -= most;
    above_[2 * node + 1] -= most;
    above_[node] += most;
  }

  std::size_t leaf_count_ = 0;
  std::vector<std::int32_t> above_{};  // By node: the maximum of its part less its parent's.
};

}  // namespace stint
