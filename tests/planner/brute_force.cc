#include "tests/planner/brute_force.h"

#include <algorithm>
#include <map>
#include <queue>
#include <utility>
#include <vector>

#include "ir/effects.h"

namespace stint {
namespace {

constexpr std::int8_t kGone = -1;

/// Which ops ran, and the version of each buffer in memory.
struct State {
  std::uint32_t done = 0;  // Bit i: op i.
  std::vector<std::int8_t> versions{};

  auto operator<=>(const State&) const = default;
};

std::int64_t RoundUp(std::int64_t size_bytes) { return (size_bytes + 511) / 512 * 512; }

class Search {
 public:
  Search(const Profile& profile, std::int64_t budget_bytes)
      : profile_(profile),
        effects_(DeriveEffects(profile)),
        last_versions_(VersionsAfter(profile, PhaseId{0})),
        budget_bytes_(budget_bytes) {}

  std::optional<std::int64_t> Run() {
    State start{};
    for (const Buffer& buffer : profile_.buffers) {
      start.versions.push_back(buffer.is_persistent ? 0 : kGone);
    }
    Reach(start, 0);
    while (!queue_.empty()) {
      const auto [cost_ns, state] = queue_.top();
      queue_.pop();
      if (cost_ns > best_ns_.at(state)) {
        continue;
      }
      if (IsEnd(state)) {
        return cost_ns;
      }
      Expand(state, cost_ns);
    }
    return std::nullopt;
  }

 private:
  using Entry = std::pair<std::int64_t, State>;

  void Reach(const State& state, std::int64_t cost_ns) {
    const auto [place, is_new] = best_ns_.try_emplace(state, cost_ns);
    if (is_new || cost_ns < place->second) {
      place->second = cost_ns;
      queue_.emplace(cost_ns, state);
    }
  }

  bool IsEnd(const State& state) const {
    if (state.done + 1 != std::uint32_t{1} << profile_.ops.size()) {
      return false;
    }
    for (std::size_t i = 0; i < profile_.buffers.size(); ++i) {
      if (profile_.buffers[i].role == BufferRole::kOutput &&
          state.versions[i] != last_versions_[i]) {
        return false;
      }
    }
    return true;
  }

  void Expand(const State& state, std::int64_t cost_ns) {
    for (std::size_t i = 0; i < profile_.buffers.size(); ++i) {
      if (!profile_.buffers[i].is_persistent && state.versions[i] != kGone) {
        State next = state;
        next.versions[i] = kGone;
        Reach(next, cost_ns);
      }
    }
    bool is_next = true;  // All ops before that stay in the recorded order ran.
    for (std::size_t op = 0; op < profile_.ops.size(); ++op) {
      const bool is_done = IsDone(state, op);
      if (is_done ? effects_[op].is_recomputable : is_next || IsUpdate(op)) {
        Compute(state, op, cost_ns);
      }
      is_next = is_next && is_done;
    }
  }

  static bool IsDone(const State& state, std::size_t op) { return (state.done >> op & 1U) != 0; }

  bool IsUpdate(std::size_t op) const {
    const auto is_persistent = [&](const Value& value) {
      return profile_.buffers[Index(value.buffer)].is_persistent;
    };
    const auto may_be_written = [&](const Value& value) {
      return is_persistent(value) ||
             (profile_.buffers[Index(value.buffer)].role != BufferRole::kOutput &&
              !IsReadAfter(op, value.buffer));
    };
    const std::vector<Value>& writes = effects_[op].writes;
    return effects_[op].creates.empty() &&
           std::any_of(writes.begin(), writes.end(), is_persistent) &&
           std::all_of(writes.begin(), writes.end(), may_be_written);
  }

  bool IsReadAfter(std::size_t op, BufferId buffer) const {
    const auto reads = [&](const OpEffects& effects) {
      return std::any_of(effects.reads.begin(), effects.reads.end(),
                         [&](const Value& value) { return value.buffer == buffer; });
    };
    return std::any_of(effects_.begin() + static_cast<std::ptrdiff_t>(op) + 1, effects_.end(),
                       reads);
  }

  void Compute(const State& state, std::size_t op, std::int64_t cost_ns) {
    for (const Value& value : effects_[op].reads) {
      if (state.versions[Index(value.buffer)] != value.version) {
        return;
      }
    }
    if (ResidentBytes(state) + HighestRequestBytes(op) > budget_bytes_) {
      return;
    }
    State next = state;
    next.done |= std::uint32_t{1} << op;
    for (const BufferId buffer : effects_[op].creates) {
      std::int8_t& version = next.versions[Index(buffer)];
      version = std::max<std::int8_t>(version, 0);
    }
    for (const Value& value : effects_[op].writes) {
      next.versions[Index(value.buffer)] = static_cast<std::int8_t>(value.version);
    }
    Reach(next, cost_ns + profile_.ops[op].duration_ns);
  }

  std::int64_t ResidentBytes(const State& state) const {
    std::int64_t bytes = 0;
    for (std::size_t i = 0; i < profile_.buffers.size(); ++i) {
      bytes += state.versions[i] == kGone ? 0 : RoundUp(profile_.buffers[i].size_bytes);
    }
    return bytes;
  }

  std::int64_t HighestRequestBytes(std::size_t op) const {
    const std::vector<Request>& requests = profile_.ops[op].requests;
    std::int64_t highest_bytes = 0;
    for (std::size_t now = 0; now < requests.size(); ++now) {
      std::int64_t bytes = 0;
      for (std::size_t i = 0; i <= now; ++i) {
        const bool is_alive = requests[i].buffer.has_value() ||
                              requests[i].freed_after_request >= static_cast<std::int32_t>(now);
        bytes += is_alive ? RoundUp(requests[i].size_bytes) : 0;
      }
      highest_bytes = std::max(highest_bytes, bytes);
    }
    return highest_bytes;
  }

  const Profile& profile_;
  std::vector<OpEffects> effects_;
  std::vector<std::int32_t> last_versions_;
  std::int64_t budget_bytes_;
  std::map<State, std::int64_t> best_ns_{};
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue_{};
};

}  // namespace

std::optional<std::int64_t> FastestDurationNs(const Profile& profile, std::int64_t budget_bytes) {
  return Search(profile, budget_bytes).Run();
}

}  // namespace stint
