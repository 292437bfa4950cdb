#include "tests/planner/copy_brute_force.h"

#include <algorithm>
#include <map>
#include <queue>
#include <set>
#include <utility>

#include "ir/effects.h"
#include "ir/units.h"

namespace stint {
namespace {

constexpr std::int8_t kAbsent = -1;
constexpr std::size_t kMostStates = 10'000;

/// Times count from the end of the last op; what is over is 0.
struct State {
  std::int32_t next = 0;               // First runs done.
  std::vector<std::int8_t> version{};  // In memory, by buffer.
  std::vector<std::int8_t> on_host{};  // Version there.
  std::vector<std::int64_t> ready{};   // When what is in memory can be used.
  std::vector<std::int64_t> host_ready{};
  std::int64_t to_host = 0;  // When the engine is free.
  std::int64_t to_device = 0;
  std::vector<std::pair<std::int64_t, std::int64_t>> leaving{};  // When, blocks.

  auto operator<=>(const State&) const = default;
};

class Search {
 public:
  Search(const Profile& profile, const std::vector<OpId>& order, std::int64_t limit_bytes,
         const TinyLink& link)
      : profile_(profile),
        order_(order),
        effects_(DeriveEffects(profile)),
        limit_(limit_bytes / kAlignmentBytes),
        link_(link) {
    for (const Buffer& buffer : profile.buffers) {
      blocks_.push_back(AlignUp(buffer.size_bytes) / kAlignmentBytes);
    }
    last_ = VersionsAfter(profile, static_cast<PhaseId>(profile.phases.size() - 1));
    FindWanted();
  }

  std::optional<std::int64_t> Run() {
    std::vector<std::size_t> persistent{};
    for (std::size_t b = 0; b < blocks_.size(); ++b) {
      if (profile_.buffers[b].is_persistent) persistent.push_back(b);
    }
    std::optional<std::int64_t> best{};
    // Each begins in memory, or on the host. The host keeps what is never overwritten.
    const std::size_t start_count = std::size_t{1} << persistent.size();
    for (std::size_t start = 0; start < start_count; ++start) {
      State state{};
      state.version.assign(blocks_.size(), kAbsent);
      state.on_host = state.version;
      state.ready.assign(blocks_.size(), 0);
      state.host_ready = state.ready;
      for (std::size_t i = 0; i < persistent.size(); ++i) {
        const std::size_t b = persistent[i];
        const bool is_away = (start >> i & 1) != 0;
        if (!is_away) state.version[b] = 0;
        if (is_away || last_[b] == 0) state.on_host[b] = 0;
      }
      if (Used(state, 0) > limit_) continue;
      const std::optional<std::int64_t> found = From(state, best);
      if (found && (!best || *found < *best)) best = found;
      if (states_seen_ > kMostStates) return std::nullopt;
    }
    return best;
  }

 private:
  using Entry = std::pair<std::int64_t, State>;

  /// By first runs done: what those to come read, and what can help to make that again.
  void FindWanted() {
    wanted_.assign(order_.size() + 1, std::vector<bool>(blocks_.size(), false));
    remaining_ns_.assign(order_.size() + 1, 0);
    for (std::size_t next = 0; next <= order_.size(); ++next) {
      std::vector<bool>& wanted = wanted_[next];
      for (std::size_t b = 0; b < blocks_.size(); ++b) {
        wanted[b] = profile_.buffers[b].role == BufferRole::kOutput;
      }
      for (std::size_t place = order_.size(); place-- > 0;) {
        const OpEffects& effect = effects_[Index(order_[place])];
        bool may_run = place >= next;
        if (may_run) remaining_ns_[next] += profile_.ops[Index(order_[place])].duration_ns;
        for (const BufferId made : effect.creates) {
          may_run = may_run || (effect.is_recomputable && wanted[Index(made)]);
        }
        if (!may_run) continue;
        for (const Value& value : effect.reads) wanted[Index(value.buffer)] = true;
      }
    }
  }
  bool IsWanted(const State& state, std::size_t b) const {
    const bool comes_back = profile_.buffers[b].is_persistent && start_.version[b] == 0;
    return comes_back || wanted_[static_cast<std::size_t>(state.next)][b];
  }

  std::optional<std::int64_t> From(const State& start, std::optional<std::int64_t> best) {
    start_ = start;
    seen_.clear();
    queue_ = {};
    Push(0, start);
    while (!queue_.empty()) {
      const auto [least, state] = queue_.top();
      queue_.pop();
      if (best && least >= *best) return best;
      if (IsOver(state)) return least;
      const std::int64_t time = least - remaining_ns_[static_cast<std::size_t>(state.next)];
      if (++states_seen_ > kMostStates) return std::nullopt;
      Expand(time, state);
    }
    return best;
  }

  void Push(std::int64_t time, State state) {
    std::erase_if(state.leaving, [](const auto& each) { return each.first <= 0; });
    std::sort(state.leaving.begin(), state.leaving.end());
    for (std::size_t b = 0; b < blocks_.size(); ++b) {
      const bool is_useless = !profile_.buffers[b].is_persistent && !IsWanted(state, b);
      if (!is_useless) continue;
      state.on_host[b] = kAbsent;
      state.host_ready[b] = 0;
      if (state.ready[b] == 0) state.version[b] = kAbsent;
    }
    time += remaining_ns_[static_cast<std::size_t>(state.next)];
    if (seen_.insert(state).second) queue_.emplace(time, std::move(state));
  }

  /// All ops have run, copies are over, and everything is as it was.
  bool IsOver(const State& state) const {
    if (state.next < static_cast<std::int32_t>(order_.size())) return false;
    if (state.to_host > 0 || state.to_device > 0) return false;
    for (std::size_t b = 0; b < blocks_.size(); ++b) {
      const Buffer& buffer = profile_.buffers[b];
      const bool must_stay =
          buffer.is_persistent ? start_.version[b] == 0 : buffer.role == BufferRole::kOutput;
      if (must_stay && state.version[b] != last_[b]) return false;
      if (buffer.is_persistent && start_.on_host[b] == 0 && state.on_host[b] != last_[b]) {
        return false;
      }
    }
    return true;
  }

  std::int64_t Used(const State& state, std::int64_t time) const {
    std::int64_t blocks = 0;
    for (std::size_t b = 0; b < blocks_.size(); ++b) {
      if (state.version[b] != kAbsent) blocks += blocks_[b];
    }
    for (const auto& [end, leaving] : state.leaving) blocks += end > time ? leaving : 0;
    return blocks;
  }

  /// The first time from `time` on at which `blocks` more fit; empty if never.
  std::optional<std::int64_t> FitsFrom(const State& state, std::int64_t time,
                                       std::int64_t blocks) const {
    std::vector<std::int64_t> times{time};
    for (const auto& [end, leaving] : state.leaving) times.push_back(std::max(time, end));
    std::sort(times.begin(), times.end());
    for (const std::int64_t each : times) {
      if (Used(state, each) + blocks <= limit_) return each;
    }
    return std::nullopt;
  }

  void Expand(std::int64_t time, const State& state) {
    const auto op_count = static_cast<std::int32_t>(order_.size());
    for (std::int32_t place = 0; place < std::min(state.next + 1, op_count); ++place) {
      RunOp(time, state, place);
    }
    for (std::size_t b = 0; b < blocks_.size(); ++b) {
      const bool is_state = profile_.buffers[b].is_persistent;
      if (!is_state && !IsWanted(state, b)) continue;
      if (state.version[b] != kAbsent) {
        Free(time, state, b);
        Offload(time, state, b);
      } else if (state.on_host[b] != kAbsent && IsWanted(state, b)) {
        Fetch(time, state, b);
      }
    }
    if (state.next == op_count) {
      const std::int64_t wait = std::max(state.to_host, state.to_device);
      if (wait > 0) Push(time + wait, Later(state, wait));
    }
  }

  static State Later(State state, std::int64_t by) {
    const auto shift = [&](std::int64_t& each) { each = std::max<std::int64_t>(0, each - by); };
    std::for_each(state.ready.begin(), state.ready.end(), shift);
    std::for_each(state.host_ready.begin(), state.host_ready.end(), shift);
    shift(state.to_host);
    shift(state.to_device);
    for (auto& [end, blocks] : state.leaving) shift(end);
    return state;
  }

  void RunOp(std::int64_t time, const State& state, std::int32_t place) {
    const OpId id = order_[static_cast<std::size_t>(place)];
    const OpEffects& effect = effects_[Index(id)];
    if (place < state.next) {
      bool helps = false;
      for (const BufferId made : effect.creates) {
        helps = helps || (state.version[Index(made)] == kAbsent && IsWanted(state, Index(made)));
      }
      if (!helps || !effect.is_recomputable) return;
    }
    std::int64_t begin = 0;
    for (const Value& value : effect.reads) {
      if (state.version[Index(value.buffer)] != value.version) return;
      begin = std::max(begin, state.ready[Index(value.buffer)]);
    }
    std::int64_t script = 0;
    for (const Request& request : profile_.ops[Index(id)].requests) {
      script += AlignUp(request.size_bytes) / kAlignmentBytes;
    }
    const std::optional<std::int64_t> fits = FitsFrom(state, begin, script);
    if (!fits) return;
    const std::int64_t end = *fits + profile_.ops[Index(id)].duration_ns;
    State after = Later(state, end);
    for (const BufferId b : effect.creates) {
      if (after.version[Index(b)] == kAbsent) after.version[Index(b)] = 0;
    }
    for (const Value& value : effect.writes) {
      after.version[Index(value.buffer)] = static_cast<std::int8_t>(value.version);
    }
    after.next = std::max(state.next, place + 1);
    Push(time + end, std::move(after));
  }

  void Free(std::int64_t time, const State& state, std::size_t b) {
    if (profile_.buffers[b].is_persistent && state.on_host[b] != state.version[b]) return;
    if (state.ready[b] > 0) return;
    State after = state;
    after.version[b] = kAbsent;
    Push(time, std::move(after));
  }

  void Offload(std::int64_t time, const State& state, std::size_t b) {
    if (state.on_host[b] == state.version[b]) return;
    State after = state;
    const std::int64_t end = std::max(state.to_host, state.ready[b]) + CopyNs(b);
    after.to_host = after.host_ready[b] = end;
    after.on_host[b] = state.version[b];
    after.version[b] = kAbsent;
    after.ready[b] = 0;
    after.leaving.emplace_back(end, blocks_[b]);
    Push(time, std::move(after));
  }

  void Fetch(std::int64_t time, const State& state, std::size_t b) {
    const std::optional<std::int64_t> begin =
        FitsFrom(state, std::max(state.to_device, state.host_ready[b]), blocks_[b]);
    if (!begin) return;
    State after = state;
    after.to_device = after.ready[b] = *begin + CopyNs(b);
    after.version[b] = state.on_host[b];
    Push(time, std::move(after));
  }

  std::int64_t CopyNs(std::size_t b) const { return blocks_[b] * link_.copy_ns_per_block; }

  struct IsLater {
    bool operator()(const Entry& a, const Entry& b) const { return a.first > b.first; }
  };

  const Profile& profile_;
  const std::vector<OpId>& order_;
  const std::vector<OpEffects> effects_;
  const std::int64_t limit_;
  const TinyLink link_;
  std::vector<std::int64_t> blocks_{};
  std::vector<std::int32_t> last_{};  // Versions at the end.
  std::vector<std::vector<bool>> wanted_{};
  std::vector<std::int64_t> remaining_ns_{};  // By first runs done: those to come.
  State start_{};
  std::set<State> seen_{};
  std::priority_queue<Entry, std::vector<Entry>, IsLater> queue_{};
  std::size_t states_seen_ = 0;
};

}  // namespace

Device TinyDevice(const TinyLink& link) {
  Device device{.kind = DeviceKind::kCuda, .name = "tiny"};
  for (const std::int64_t blocks : {std::int64_t{1}, std::int64_t{1} << 20}) {
    const std::int64_t copy_ns = blocks * link.copy_ns_per_block;
    device.copy_times.push_back({.size_bytes = blocks * kAlignmentBytes,
                                 .to_host_ns = copy_ns,
                                 .to_device_ns = copy_ns,
                                 .both_ns = copy_ns});
  }
  return device;
}

std::optional<std::int64_t> FastestWithCopiesNs(const Profile& profile,
                                                const std::vector<OpId>& order,
                                                std::int64_t limit_bytes, const TinyLink& link) {
  return Search(profile, order, limit_bytes, link).Run();
}

}  // namespace stint
