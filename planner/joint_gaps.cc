#include "planner/joint_gaps.h"

#include <algorithm>

namespace stint {
namespace {

constexpr double kLeastShare = 0.01;

/// Between two neighbouring uses with a cut between them. The second may be in the next iteration.
struct Stretch {
  std::int32_t after = 0;   // Places.
  std::int32_t before = 0;  //
};

class Guide {
 public:
  Guide(const JointProgram& joint, const JointLp& lp, const std::vector<double>& values)
      : joint_(joint), lp_(lp), values_(values), uses_(joint.buffer_of.size()) {
    for (std::size_t place = 0; place < joint.ops.size(); ++place) {
      const auto here = static_cast<std::int32_t>(place);
      for (const BufferId id : joint.ops[place].creates) uses_[Index(id)].push_back(here);
      for (const Value& value : joint.ops[place].reads) uses_[Index(value.buffer)].push_back(here);
    }
  }

  JointGuide Make() {
    JointGuide guide{.order = joint_.order};
    for (const std::int32_t cut : joint_.cuts) {
      guide.cuts.push_back(joint_.order[static_cast<std::size_t>(cut)]);
    }
    for (const std::int32_t time : lp_.times) {
      guide.window_ns.push_back(values_[static_cast<std::size_t>(time)] * kLpTimeNs);
    }
    for (std::size_t b = 0; b < joint_.buffers.size(); ++b) AddGaps(b, guide);
    std::ranges::sort(guide.gaps, {}, [&](const JointGap& gap) {
      return std::pair(gap.buffer, PlaceOf(gap.after));
    });
    for (std::size_t place = 0; place < joint_.ops.size(); ++place) {
      double share = 0;
      for (std::int32_t w = 0; w < joint_.window_count(); ++w) {
        share += ValueAt(lp_.again, place, w);
      }
      if (share > kLeastShare) {
        guide.recompute.push_back({.op = joint_.ops[place].id, .share = share});
      }
    }
    std::ranges::sort(guide.recompute, {}, &JointRecompute::op);
    return guide;
  }

 private:
  std::int32_t PlaceOf(OpId op) {
    if (place_of_.empty()) {
      place_of_.resize(joint_.order.size());
      for (std::size_t place = 0; place < joint_.order.size(); ++place) {
        place_of_[Index(joint_.order[place])] = static_cast<std::int32_t>(place);
      }
    }
    return place_of_[Index(op)];
  }

  double ValueAt(const JointColumns& columns, std::size_t index, std::int32_t window) const {
    const std::int32_t column = columns[index][static_cast<std::size_t>(window)];
    return column < 0 ? 0 : std::clamp(values_[static_cast<std::size_t>(column)], 0.0, 1.0);
  }

  bool IsBetween(std::int32_t cut, const Stretch& stretch) const {
    const bool wraps = stretch.before <= stretch.after;
    return wraps ? cut > stretch.after || cut < stretch.before
                 : cut > stretch.after && cut < stretch.before;
  }

  std::vector<Stretch> StretchesOf(BufferId id, bool is_persistent) const {
    const std::vector<std::int32_t>& uses = uses_[Index(id)];
    std::vector<Stretch> stretches{};
    const auto add = [&](const Stretch& stretch) {
      const bool has_cut = std::ranges::any_of(
          joint_.cuts, [&](std::int32_t cut) { return IsBetween(cut, stretch); });
      if (has_cut) stretches.push_back(stretch);
    };
    for (std::size_t i = 1; i < uses.size(); ++i) add({uses[i - 1], uses[i]});
    if (is_persistent && !uses.empty()) add({uses.back(), uses.front()});
    return stretches;
  }

  /// The largest share of the buffer that is absent at a cut in the stretch.
  double AbsentIn(std::size_t b, const Stretch& stretch) const {
    double absent = 0;
    for (std::int32_t w = 0; w < joint_.window_count(); ++w) {
      const bool has_column = lp_.kept[b][static_cast<std::size_t>(w)] >= 0;
      if (!has_column || !IsBetween(joint_.cuts[static_cast<std::size_t>(w)], stretch)) continue;
      absent = std::max(absent, 1 - ValueAt(lp_.kept, b, w));
    }
    return absent;
  }

  /// The share of an activation that comes back from the host for the end of the stretch.
  double FetchedIn(std::size_t b, const Stretch& stretch) const {
    double fetched = 0;
    const std::int32_t last = joint_.ops[static_cast<std::size_t>(stretch.before)].window;
    for (std::int32_t w = joint_.ops[static_cast<std::size_t>(stretch.after)].window; w <= last;
         ++w) {
      fetched += ValueAt(lp_.fetched, b, w);
    }
    return std::min(1.0, fetched);
  }

  void AddGaps(std::size_t b, JointGuide& guide) {
    const JointBuffer& buffer = joint_.buffers[b];
    std::vector<std::vector<Stretch>> stretches{};
    std::size_t stretch_count = 0;
    for (const BufferId id : buffer.members) {
      stretches.push_back(StretchesOf(id, buffer.is_persistent));
      stretch_count = std::max(stretch_count, stretches.back().size());
    }
    for (std::size_t i = 0; i < stretch_count; ++i) AddGap(b, i, stretches, guide);
  }

  void AddGap(std::size_t b, std::size_t i, const std::vector<std::vector<Stretch>>& stretches,
              JointGuide& guide) {
    const JointBuffer& buffer = joint_.buffers[b];
    std::vector<std::size_t> members{};
    for (std::size_t m = 0; m < buffer.members.size(); ++m) {
      if (i < stretches[m].size()) members.push_back(m);
    }
    std::ranges::stable_sort(members, std::greater{},
                             [&](std::size_t m) { return stretches[m][i].before; });
    const double absent = AbsentIn(b, stretches[members.front()][i]);
    // Members share the bytes evenly: their sizes are not known here, their order is what counts.
    double left = absent * static_cast<double>(members.size());
    for (const std::size_t m : members) {
      const double evicted = std::clamp(left, 0.0, 1.0);
      left -= evicted;
      if (evicted <= kLeastShare) break;
      const Stretch& stretch = stretches[m][i];
      guide.gaps.push_back({.buffer = buffer.members[m],
                            .after = joint_.order[static_cast<std::size_t>(stretch.after)],
                            .before = joint_.order[static_cast<std::size_t>(stretch.before)],
                            .evicted = evicted,
                            .fetched = buffer.is_persistent ? evicted : FetchedIn(b, stretch)});
    }
  }

  const JointProgram& joint_;
  const JointLp& lp_;
  const std::vector<double>& values_;
  std::vector<std::vector<std::int32_t>> uses_;  // By BufferId: places, ascending.
  std::vector<std::int32_t> place_of_{};
};

}  // namespace

JointGuide GuideOf(const JointProgram& joint, const JointLp& lp,
                   const std::vector<double>& values) {
  return Guide(joint, lp, values).Make();
}

}  // namespace stint
