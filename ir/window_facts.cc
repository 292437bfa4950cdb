#include "ir/window_facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "ir/copy_floor.h"
#include "ir/errors.h"
#include "ir/units.h"

namespace stint {
namespace {

constexpr std::int64_t kLargestScale = std::int64_t{1} << 30;
constexpr std::int64_t kLargestBytes = std::int64_t{1} << 60;
constexpr std::size_t kMostCuts = 63;  // Windows are bits.

std::int64_t RequestPeakBytes(const Op& op) {
  std::int64_t peak_bytes = 0;
  for (std::size_t now = 0; now < op.requests.size(); ++now) {
    std::int64_t live_bytes = 0;
    for (std::size_t i = 0; i <= now; ++i) {
      const Request& request = op.requests[i];
      const bool is_live =
          request.buffer || request.freed_after_request >= static_cast<std::int32_t>(now);
      if (is_live) live_bytes += AlignUp(request.size_bytes);
    }
    peak_bytes = std::max(peak_bytes, live_bytes);
  }
  return peak_bytes;
}

class Maker {
 public:
  Maker(const Profile& profile, const Certificate& certificate, const std::string& where)
      : profile_(profile), certificate_(certificate), where_(where) {}

  WindowFacts Make() {
    CheckHead();
    facts_.effects = DeriveEffects(profile_);
    facts_.runs = FirstRunsOf(profile_, facts_.effects, UpdatesOf(certificate_.plan_class));
    if (certificate_.cuts.empty()) return std::move(facts_);
    CheckCuts();
    FindOps();
    FindBuffers();
    FindWanted();
    AddCosts();
    JoinAlike();
    return std::move(facts_);
  }

 private:
  void CheckHead() const {
    const auto check = [&](std::int64_t amount, std::int64_t least, std::int64_t most,
                           const char* key) {
      if (amount < least || amount > most) throw InputError(where_ + key, "is out of range");
    };
    check(certificate_.limit_bytes, 0, kLargestBytes, "/limit_bytes");
    check(certificate_.host_limit_bytes, 0, kLargestBytes, "/host_limit_bytes");
    check(certificate_.largest_copy_bytes, 0, kLargestBytes, "/largest_copy_bytes");
    check(certificate_.other_way_permille, 0, 1000, "/other_way_permille");
    check(certificate_.scale, 1, kLargestScale, "/scale");
    if (certificate_.cuts.size() > kMostCuts) throw InputError(where_ + "/cuts", "are too many");
    if (certificate_.cuts.empty()) return;
    for (const Phase& phase : profile_.phases) {
      if (phase.repeat_count > 1) throw InputError(where_, "cuts a program that repeats a phase");
    }
    if (profile_.device.copy_times.empty()) {
      throw InputError(where_, "is about copies, of which the profile says nothing");
    }
  }

  void CheckCuts() {
    facts_.count = static_cast<std::int32_t>(certificate_.cuts.size());
    for (std::int32_t w = 0; w < facts_.count; ++w) {
      const OpId cut = certificate_.cuts[static_cast<std::size_t>(w)];
      const std::string pointer = fmt::format("{}/cuts/{}", where_, w);
      if (Index(cut) >= facts_.effects.size()) throw InputError(pointer, "is no op of the profile");
      const std::int32_t place = facts_.runs.place_of[Index(cut)];
      if (w == 0 ? place != 0 : place <= facts_.starts.back()) {
        throw InputError(pointer, "is not the first op, or not in the order of the class");
      }
      if (MayMove(cut)) throw InputError(pointer, "is an op that may move");
      facts_.starts.push_back(place);
    }
  }

  bool MayMove(OpId op) const {
    return certificate_.plan_class == "updates-movable-copies" && facts_.runs.is_update[Index(op)];
  }
  std::int32_t WindowOf(std::int32_t place) const {
    const auto next = std::upper_bound(facts_.starts.begin(), facts_.starts.end(), place);
    return static_cast<std::int32_t>(next - facts_.starts.begin()) - 1;
  }

  void FindOps() {
    facts_.ops.resize(facts_.effects.size());
    facts_.window_ns.assign(facts_.starts.size(), 0);
    facts_.late_ns = facts_.window_ns;
    std::vector<std::int32_t> next_write(profile_.buffers.size(), kNeverPlace);
    for (std::size_t place = facts_.effects.size(); place-- > 0;) {
      const OpId id = facts_.runs.order[place];
      const OpEffects& effect = facts_.effects[Index(id)];
      WindowOp& op = facts_.ops[Index(id)];
      op = {.place = static_cast<std::int32_t>(place),
            .may_move = MayMove(id),
            .can_run_again = effect.is_recomputable};
      for (const Value& value : effect.reads) {
        if (!profile_.buffers[Index(value.buffer)].is_persistent) continue;
        op.lost_from = std::min(op.lost_from, next_write[Index(value.buffer)]);
      }
      for (const Value& value : effect.writes) {
        if (!op.may_move) next_write[Index(value.buffer)] = op.place;
      }
      std::vector<std::int64_t>& sums_ns = op.may_move ? facts_.late_ns : facts_.window_ns;
      sums_ns[static_cast<std::size_t>(WindowOf(op.place))] += profile_.ops[Index(id)].duration_ns;
    }
  }

  void FindBuffers() {
    facts_.buffers.resize(profile_.buffers.size());
    std::int64_t fixed_bytes = 0;
    for (std::size_t i = 0; i < facts_.buffers.size(); ++i) {
      const Buffer& buffer = profile_.buffers[i];
      WindowBuffer& facts = facts_.buffers[i];
      facts.is_movable = !buffer.is_host && buffer.role != BufferRole::kWorkspace;
      facts.is_persistent = buffer.is_persistent;
      facts.first = BufferId{static_cast<std::int32_t>(i)};
      facts.alike_count = 1;
      if (buffer.is_persistent) facts.creator = kAlwaysPlace;
      if (!facts.is_movable && !buffer.is_host) fixed_bytes += AlignUp(buffer.size_bytes);
    }
    for (const OpId cut : certificate_.cuts) {
      facts_.taken_bytes.push_back(fixed_bytes + RequestPeakBytes(profile_.ops[Index(cut)]));
    }
    for (const OpId id : facts_.runs.order) {
      const OpEffects& effect = facts_.effects[Index(id)];
      const WindowOp& op = facts_.ops[Index(id)];
      const std::int32_t window = WindowOf(op.place);
      for (const BufferId buffer : effect.creates) {
        if (!facts_.buffers[Index(buffer)].is_persistent)
          facts_.buffers[Index(buffer)].creator = op.place;
      }
      for (const Value& value : effect.reads) {
        WindowBuffer& facts = facts_.buffers[Index(value.buffer)];
        (op.may_move ? facts.late : facts.used) |= BitOf(window);
        if (op.place == facts_.Start(window)) facts.held |= BitOf(window);
      }
      for (const Value& value : effect.writes) {
        WindowBuffer& facts = facts_.buffers[Index(value.buffer)];
        if (op.may_move) {
          facts.late_write = std::max(facts.late_write, window);
        } else {
          facts.written |= BitOf(window);
          facts.first_write = std::min(facts.first_write, op.place);
        }
      }
    }
    for (std::size_t i = 0; i < facts_.buffers.size(); ++i) {
      const bool stays = profile_.buffers[i].role == BufferRole::kOutput &&
                         facts_.buffers[i].creator >= 0 && facts_.buffers[i].creator != kNeverPlace;
      if (stays) facts_.buffers[i].used |= BitOf(facts_.count - 1);
    }
  }

  /// A plan loses nothing without runs and copies that help no first run: they are not looked at.
  void FindWanted() {
    for (WindowBuffer& facts : facts_.buffers) {
      if (facts.is_persistent) facts.wanted_until = facts_.count - 1;
      for (std::int32_t w = 0; w < facts_.count; ++w) {
        if (HasBit(facts.used | facts.late, w))
          facts.wanted_until = std::max(facts.wanted_until, w);
      }
    }
    for (auto id = facts_.runs.order.rbegin(); id != facts_.runs.order.rend(); ++id) {
      WindowOp& op = facts_.ops[Index(*id)];
      if (!op.can_run_again) continue;
      std::int32_t until = 0;
      for (const BufferId made : facts_.effects[Index(*id)].creates) {
        until = std::max(until, facts_.buffers[Index(made)].wanted_until);
      }
      while (until > 0 && op.lost_from < facts_.Start(until)) --until;
      op.again_until = until;
      for (const Value& value : facts_.effects[Index(*id)].reads) {
        WindowBuffer& read = facts_.buffers[Index(value.buffer)];
        read.wanted_until = std::max(read.wanted_until, until);
      }
    }
  }

  void AddCosts() {
    const CopyFloor floor(profile_.device, certificate_.largest_copy_bytes,
                          certificate_.other_way_permille);
    for (std::size_t i = 0; i < facts_.buffers.size(); ++i) {
      WindowBuffer& facts = facts_.buffers[i];
      const std::int64_t size_bytes = profile_.buffers[i].size_bytes;
      facts.blocks = AlignUp(size_bytes) / kAlignmentBytes;
      const auto cost_ns = [&](CopyWay way) {
        return facts.is_persistent ? floor.SharedNs(way, size_bytes) : floor.OwnNs(way, size_bytes);
      };
      facts.to_host_ns = cost_ns(CopyWay::kToHost);
      facts.to_device_ns = cost_ns(CopyWay::kToDevice);
    }
  }

  /// Persistent buffers that every row treats alike become one.
  void JoinAlike() {
    std::map<std::array<WindowBits, 5>, BufferId> firsts{};
    for (WindowBuffer& facts : facts_.buffers) {
      if (!facts.is_movable || !facts.is_persistent) continue;
      const std::array<WindowBits, 5> key{facts.used, facts.late, facts.written, facts.held,
                                          static_cast<WindowBits>(facts.late_write + 1)};
      const auto [found, is_new] = firsts.emplace(key, facts.first);
      if (is_new) continue;
      WindowBuffer& first = facts_.buffers[Index(found->second)];
      first.blocks += facts.blocks;
      first.to_host_ns += facts.to_host_ns;
      first.to_device_ns += facts.to_device_ns;
      ++first.alike_count;
      facts.alike_count = 0;
      facts.first = first.first;
    }
  }

  const Profile& profile_;
  const Certificate& certificate_;
  const std::string& where_;
  WindowFacts facts_{};
};

}  // namespace

UpdatePlace UpdatesOf(const std::string& plan_class) {
  return plan_class == "recorded-order-copies" ? UpdatePlace::kRecorded : UpdatePlace::kAtOnce;
}

WindowFacts WindowFactsOf(const Profile& profile, const Certificate& certificate,
                          const std::string& where) {
  return Maker(profile, certificate, where).Make();
}

}  // namespace stint
