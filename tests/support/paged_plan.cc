#include "tests/support/paged_plan.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "ir/effects.h"
#include "ir/units.h"
#include "simulator/timeline.h"
#include "tests/support/plan_builder.h"

namespace stint {
namespace {

constexpr int kReuseDelay = 150;  // Computes after an offload.
constexpr std::size_t kNever = std::numeric_limits<std::size_t>::max();

using Unit = std::variant<BufferId, ShardId>;

/// A stay in the arena: fetched before `first`, gone after `last`. Indices into one body.
struct Stay {
  Unit unit{};
  std::int64_t size_bytes = 0;
  std::size_t earliest = 0;  // May be fetched from here on.
  std::size_t first = 0;
  std::size_t last = kNever;  // Never: the base plan ends it.
  bool is_fetched = true;
  bool is_written = false;
};

/// What `base` does with each buffer in one body, by index of instruction.
class Uses {
 public:
  Uses(const Profile& profile, const std::vector<Instruction>& body,
       const std::vector<OpEffects>& effects)
      : uses_(profile.buffers.size()), writes_(profile.buffers.size()) {
    for (std::size_t i = 0; i < body.size(); ++i) {
      if (body[i].kind != InstructionKind::kCompute) continue;
      const OpEffects& effect = effects[Index(body[i].op)];
      for (const Value& read : effect.reads) uses_[Index(read.buffer)].push_back(i);
      for (const Value& write : effect.writes) writes_[Index(write.buffer)].push_back(i);
      for (const BufferId id : effect.creates) {
        if (!std::ranges::binary_search(body[i].discards, id)) uses_[Index(id)].push_back(i);
      }
    }
  }

  const std::vector<std::size_t>& Of(BufferId id) const { return uses_[Index(id)]; }
  bool IsWritten(BufferId id) const { return !writes_[Index(id)].empty(); }

 private:
  std::vector<std::vector<std::size_t>> uses_;
  std::vector<std::vector<std::size_t>> writes_;
};

class Pager {
 public:
  Pager(const Profile& profile, const Plan& base, const PagingOptions& options)
      : profile_(profile), base_(base), options_(options), effects_(DeriveEffects(profile)) {
    for (const PhasePlan& phase : base.phases) uses_.emplace_back(profile, phase.body, effects_);
  }

  Plan Run() {
    const std::vector<std::vector<BufferId>> groups = GroupStates();
    std::vector<BufferId> on_host;
    for (const auto& group : groups) on_host.insert(on_host.end(), group.begin(), group.end());
    PlanBuilder builder(profile_, on_host, options_.is_hidden ? kReuseDelay : 0);
    std::vector<std::vector<Stay>> stays(base_.phases.size());
    for (std::size_t i = 0; i < groups.size(); ++i) {
      const ShardId shard = builder.AddShard("states " + std::to_string(i), groups[i]);
      for (std::size_t phase = 0; phase < stays.size(); ++phase) {
        AddStay(shard, groups[i], phase, stays[phase]);
      }
    }
    AddActivations(stays);
    for (std::size_t phase = 0; phase < stays.size(); ++phase) {
      builder.BeginPhase(static_cast<PhaseId>(phase));
      Build(phase, stays[phase], builder);
    }
    return builder.Finish();
  }

 private:
  /// States in the order of their last update, cut into shards; some of these, evenly.
  std::vector<std::vector<BufferId>> GroupStates() const {
    std::vector<std::pair<std::size_t, BufferId>> states;
    for (std::size_t i = 0; i < profile_.buffers.size(); ++i) {
      if (profile_.buffers[i].role != BufferRole::kOptimizerState) continue;
      const std::vector<std::size_t>& uses = uses_.back().Of(BufferId(i));
      if (!uses.empty()) states.emplace_back(uses.back(), BufferId(i));
    }
    std::ranges::sort(states);
    std::vector<std::vector<BufferId>> groups;
    std::int64_t all_bytes = 0;
    std::int64_t group_bytes = options_.shard_bytes;
    for (const auto& [use, id] : states) {
      if (group_bytes >= options_.shard_bytes) {
        groups.emplace_back();
        group_bytes = 0;
      }
      groups.back().push_back(id);
      group_bytes += SizeOf(id);
      all_bytes += SizeOf(id);
    }
    const double share = static_cast<double>(options_.state_bytes) /
                         static_cast<double>(std::max<std::int64_t>(all_bytes, 1));
    double due = 0;
    std::erase_if(groups, [&](const std::vector<BufferId>&) {
      due += share;
      if (due < 1) return true;
      due -= 1;
      return false;
    });
    return groups;
  }

  std::int64_t SizeOf(BufferId id) const { return AlignUp(profile_.buffers[Index(id)].size_bytes); }

  void AddStay(ShardId shard, const std::vector<BufferId>& members, std::size_t phase,
               std::vector<Stay>& stays) const {
    Stay stay{.unit = shard, .first = kNever, .last = 0};
    for (const BufferId member : members) {
      stay.size_bytes += SizeOf(member);
      stay.is_written = stay.is_written || uses_[phase].IsWritten(member);
      for (const std::size_t use : uses_[phase].Of(member)) {
        stay.first = std::min(stay.first, use);
        stay.last = std::max(stay.last, use);
      }
    }
    if (stay.first != kNever) stays.push_back(stay);
  }

  /// Two uses of a buffer that the base keeps in between, far apart.
  struct Gap {
    std::int64_t duration_ns = 0;
    std::size_t phase = 0;
    BufferId id{};
    std::size_t begin = 0;
    std::size_t end = 0;
  };

  void AddActivations(std::vector<std::vector<Stay>>& stays) const {
    std::vector<Gap> gaps;
    for (std::size_t phase = 0; phase < stays.size(); ++phase) {
      for (std::size_t i = 0; i < profile_.buffers.size(); ++i) {
        if (const auto gap = LongestGap(phase, BufferId(i))) gaps.push_back(*gap);
      }
    }
    std::ranges::sort(gaps, std::greater{}, &Gap::duration_ns);
    std::int64_t paged_bytes = 0;
    for (const Gap& gap : gaps) {
      const std::int64_t size_bytes = SizeOf(gap.id);
      if (paged_bytes + size_bytes > options_.activation_bytes) continue;
      paged_bytes += size_bytes;
      stays[gap.phase].push_back({.unit = gap.id,
                                  .size_bytes = size_bytes,
                                  .first = gap.begin,
                                  .last = gap.begin,
                                  .is_fetched = false,
                                  .is_written = true});
      stays[gap.phase].push_back(
          {.unit = gap.id, .size_bytes = size_bytes, .earliest = gap.begin + 1, .first = gap.end});
    }
  }

  /// Of an activation that is created once and freed once in the body, and never overwritten.
  std::optional<Gap> LongestGap(std::size_t phase, BufferId id) const {
    const Buffer& buffer = profile_.buffers[Index(id)];
    const std::vector<std::size_t>& uses = uses_[phase].Of(id);
    if (buffer.is_persistent || buffer.is_host || buffer.size_bytes == 0 || uses.size() < 2 ||
        uses_[phase].IsWritten(id) || CountKeeps(phase, id) != 1) {
      return std::nullopt;
    }
    const std::vector<std::int64_t> times_ns = TimesOf(phase);
    Gap longest;
    for (std::size_t i = 1; i < uses.size(); ++i) {
      const std::int64_t duration_ns = times_ns[uses[i]] - times_ns[uses[i - 1]];
      if (duration_ns <= longest.duration_ns) continue;
      longest = {.duration_ns = duration_ns,
                 .phase = phase,
                 .id = id,
                 .begin = uses[i - 1],
                 .end = uses[i]};
    }
    if (longest.end <= longest.begin + 1) return std::nullopt;
    return longest;
  }

  std::ptrdiff_t CountKeeps(std::size_t phase, BufferId id) const {
    return std::ranges::count_if(base_.phases[phase].body, [&](const Instruction& instruction) {
      return instruction.kind == InstructionKind::kCompute &&
             std::ranges::find(effects_[Index(instruction.op)].creates, id) !=
                 effects_[Index(instruction.op)].creates.end() &&
             !std::ranges::binary_search(instruction.discards, id);
    });
  }

  /// When each instruction begins if nothing waits.
  const std::vector<std::int64_t>& TimesOf(std::size_t phase) const {
    std::vector<std::int64_t>& times_ns = times_[phase];
    if (!times_ns.empty()) return times_ns;
    std::int64_t clock_ns = 0;
    for (const Instruction& instruction : base_.phases[phase].body) {
      times_ns.push_back(clock_ns);
      if (instruction.kind == InstructionKind::kCompute) {
        clock_ns += std::max<std::int64_t>(profile_.ops[Index(instruction.op)].duration_ns, 1);
      }
    }
    return times_ns;
  }

  /// Before which instruction each stay is fetched: one after the other, as late as they can.
  std::vector<std::size_t> PlaceFetches(std::size_t phase, const std::vector<Stay>& stays) const {
    const std::vector<std::int64_t>& times_ns = TimesOf(phase);
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < stays.size(); ++i) {
      if (stays[i].is_fetched) order.push_back(i);
    }
    std::ranges::sort(order, std::greater{}, [&](std::size_t i) { return stays[i].first; });
    std::vector<std::size_t> places(stays.size(), kNever);
    std::int64_t link_ns = std::numeric_limits<std::int64_t>::max();
    for (const std::size_t i : order) {
      const Stay& stay = stays[i];
      places[i] = stay.earliest;
      if (!options_.is_hidden) continue;
      link_ns = std::min(link_ns, times_ns[stay.first]) -
                MakeCopy(profile_.device, Stream::kToDevice, stay.size_bytes).contended_ns;
      const auto after = std::ranges::upper_bound(times_ns, link_ns);
      const auto begin = static_cast<std::size_t>(after - times_ns.begin());
      places[i] = std::clamp(begin == 0 ? 0 : begin - 1, stay.earliest, stay.first);
    }
    return places;
  }

  void Build(std::size_t phase, const std::vector<Stay>& stays, PlanBuilder& builder) const {
    const std::vector<Instruction>& body = base_.phases[phase].body;
    const std::vector<std::size_t> places = PlaceFetches(phase, stays);
    std::multimap<std::size_t, const Stay*> fetches;
    std::multimap<std::size_t, const Stay*> ends;
    for (std::size_t i = 0; i < stays.size(); ++i) {
      if (places[i] != kNever) fetches.emplace(places[i], &stays[i]);
      if (stays[i].last != kNever) ends.emplace(stays[i].last, &stays[i]);
    }
    for (std::size_t i = 0; i < body.size(); ++i) {
      const auto [first_fetch, last_fetch] = fetches.equal_range(i);
      for (auto fetch = first_fetch; fetch != last_fetch; ++fetch) {
        std::visit([&](auto unit) { builder.Fetch(unit); }, fetch->second->unit);
      }
      if (body[i].kind == InstructionKind::kCompute) {
        builder.Compute(body[i].op, body[i].discards);
      } else {
        builder.Free(*body[i].buffer);
      }
      const auto [first_end, last_end] = ends.equal_range(i);
      for (auto end = first_end; end != last_end; ++end) {
        std::visit(
            [&](auto unit) {
              end->second->is_written ? builder.Offload(unit) : builder.Drop(unit);
            },
            end->second->unit);
      }
    }
  }

  const Profile& profile_;
  const Plan& base_;
  const PagingOptions options_;
  const std::vector<OpEffects> effects_;
  std::vector<Uses> uses_{};                                          // By phase.
  mutable std::map<std::size_t, std::vector<std::int64_t>> times_{};  // By phase.
};

}  // namespace

Plan PagedPlan(const Profile& profile, const Plan& base, const PagingOptions& options) {
  return Pager(profile, base, options).Run();
}

}  // namespace stint
