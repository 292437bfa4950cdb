#include "planner/paged_timing.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <deque>
#include <limits>
#include <optional>
#include <vector>

#include "ir/effects.h"
#include "ir/units.h"
#include "planner/copy_cost.h"

namespace stint {
namespace {

enum class Lane : std::uint8_t { kCompute, kToHost, kToDevice };
constexpr std::size_t kLaneCount = 3;
constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

struct Work {
  Lane lane{};
  CopyCost cost{};
  std::vector<std::size_t> after{};  // Earlier works.
};

/// Lets all works run, each lane in order, and says when the last one is over.
class Clock {
 public:
  explicit Clock(const std::vector<Work>& works) : works_(works), is_over_(works.size(), false) {
    for (std::size_t i = 0; i < works.size(); ++i) {
      waiting_[static_cast<std::size_t>(works[i].lane)].push_back(i);
    }
  }

  std::int64_t Run() {
    for (;;) {
      for (std::size_t lane = 0; lane < kLaneCount; ++lane) {
        Start(lane);
      }
      const std::int64_t next_ns = NextEnd();
      if (next_ns == kNever) {
        return now_ns_;
      }
      End(next_ns);
    }
  }

 private:
  struct Current {
    std::size_t work = 0;
    std::int64_t begin_ns = 0;
    double left = 1;  // The part still to be done.
  };

  void Start(std::size_t lane) {
    std::deque<std::size_t>& waiting = waiting_[lane];
    if (current_[lane] || waiting.empty()) {
      return;
    }
    const Work& work = works_[waiting.front()];
    for (const std::size_t earlier : work.after) {
      if (!is_over_[earlier]) {
        return;
      }
    }
    current_[lane] = {.work = waiting.front(), .begin_ns = now_ns_};
    waiting.pop_front();
  }

  /// What the work of `lane` would take from begin to end as things are: beside one copy a compute
  /// takes half of what it takes longer beside two.
  double FullNs(std::size_t lane) const {
    const CopyCost& cost = works_[current_[lane]->work].cost;
    const bool to_host = current_[1].has_value();
    const bool to_device = current_[2].has_value();
    const auto longer_ns = static_cast<double>(cost.beside_ns - cost.alone_ns);
    double part = to_host && to_device ? 1 : 0;
    if (lane == 0 && to_host != to_device) {
      part = 0.5;
    }
    return static_cast<double>(cost.alone_ns) + part * longer_ns;
  }

  std::int64_t EndNs(std::size_t lane) const {
    const Current& current = *current_[lane];
    const CopyCost& cost = works_[current.work].cost;
    if (cost.beside_ns == cost.alone_ns) {
      return current.begin_ns + cost.alone_ns;
    }
    // Up to the next nanosecond; sums of parts are only nearly whole.
    return now_ns_ + static_cast<std::int64_t>(std::ceil(current.left * FullNs(lane) - 1e-6));
  }

  std::int64_t NextEnd() const {
    std::int64_t next_ns = kNever;
    for (std::size_t lane = 0; lane < kLaneCount; ++lane) {
      next_ns = current_[lane] ? std::min(next_ns, EndNs(lane)) : next_ns;
    }
    return next_ns;
  }

  void End(std::int64_t next_ns) {
    std::array<bool, kLaneCount> ends{};
    for (std::size_t lane = 0; lane < kLaneCount; ++lane) {
      if (!current_[lane]) {
        continue;
      }
      ends[lane] = EndNs(lane) == next_ns;
      if (!ends[lane]) {
        current_[lane]->left -= static_cast<double>(next_ns - now_ns_) / FullNs(lane);
      }
    }
    now_ns_ = next_ns;
    for (std::size_t lane = 0; lane < kLaneCount; ++lane) {
      if (ends[lane]) {
        is_over_[current_[lane]->work] = true;
        current_[lane].reset();
      }
    }
  }

  const std::vector<Work>& works_;
  std::vector<bool> is_over_;
  std::array<std::deque<std::size_t>, kLaneCount> waiting_{};
  std::array<std::optional<Current>, kLaneCount> current_{};
  std::int64_t now_ns_ = 0;
};

/// Finds what each instruction waits for.
class WaitFinder {
 public:
  WaitFinder(const Profile& profile, const PagedSchedule& schedule,
             const std::vector<Placement>& initial)
      : profile_(profile),
        schedule_(schedule),
        effects_(DeriveEffects(profile)),
        offsets_(profile.buffers.size(), 0),
        fetch_of_(profile.buffers.size()),
        offload_of_(profile.buffers.size()) {
    for (const Placement& place : initial) {
      offsets_[Index(place.buffer)] = place.offset_bytes;
    }
  }

  /// The works of instructions [begin, end), which wait for none before.
  std::vector<Work> Find(std::size_t begin, std::size_t end) {
    works_.clear();
    busy_.clear();
    last_compute_.reset();
    is_last_awaited_ = false;
    waited_for_ = {};
    std::fill(fetch_of_.begin(), fetch_of_.end(), std::nullopt);
    std::fill(offload_of_.begin(), offload_of_.end(), std::nullopt);
    for (std::size_t i = begin; i < end; ++i) {
      const Instruction& instruction = schedule_.instructions[i];
      if (instruction.kind == InstructionKind::kCompute) {
        Compute(instruction);
      } else if (instruction.kind == InstructionKind::kOffload ||
                 instruction.kind == InstructionKind::kFetch) {
        Copy(instruction);
      }
    }
    return std::move(works_);
  }

 private:
  struct Place {
    std::int64_t begin_bytes = 0;
    std::int64_t end_bytes = 0;
  };
  struct Busy {
    Place place{};
    std::size_t work = 0;
  };

  static Place PlaceAt(std::int64_t offset_bytes, std::int64_t size_bytes) {
    return {.begin_bytes = offset_bytes, .end_bytes = offset_bytes + AlignUp(size_bytes)};
  }

  void WaitForPlace(const Place& place, Work& work) const {
    for (const Busy& busy : busy_) {
      if (busy.place.begin_bytes < place.end_bytes && place.begin_bytes < busy.place.end_bytes) {
        work.after.push_back(busy.work);
      }
    }
  }

  static void WaitFor(const std::optional<std::size_t>& earlier, Work& work) {
    if (earlier) {
      work.after.push_back(*earlier);
    }
  }

  void Compute(const Instruction& instruction) {
    const Op& op = profile_.ops[Index(instruction.op)];
    Work work{.lane = Lane::kCompute, .cost = CostOfCompute(profile_.device, op.duration_ns)};
    for (const Value& value : effects_[Index(instruction.op)].reads) {
      WaitFor(fetch_of_[Index(value.buffer)], work);
    }
    for (std::size_t i = 0; i < op.requests.size(); ++i) {
      const std::int64_t offset_bytes = instruction.request_offsets[i];
      WaitForPlace(PlaceAt(offset_bytes, op.requests[i].size_bytes), work);
      const std::optional<BufferId>& made = op.requests[i].buffer;
      if (made &&
          !std::binary_search(instruction.discards.begin(), instruction.discards.end(), *made)) {
        offsets_[Index(*made)] = offset_bytes;
      }
    }
    CountWaits(work);
    std::erase_if(busy_, [&](const Busy& busy) {
      return std::find(work.after.begin(), work.after.end(), busy.work) != work.after.end();
    });
    last_compute_ = works_.size();
    is_last_awaited_ = false;
    works_.push_back(std::move(work));
  }

  /// Each lane where `compute` waits for a later copy than any compute before costs a wait.
  void CountWaits(Work& compute) {
    std::array<std::size_t, kLaneCount> latest = waited_for_;
    for (const std::size_t copy : compute.after) {
      std::size_t& count = latest[static_cast<std::size_t>(works_[copy].lane)];
      count = std::max(count, copy + 1);
    }
    for (std::size_t lane = 0; lane < kLaneCount; ++lane) {
      if (latest[lane] > waited_for_[lane]) {
        AddWait(compute);
      }
    }
    waited_for_ = latest;
  }

  void AddWait(Work& compute) const {
    compute.cost.alone_ns += profile_.device.wait_ns;
    compute.cost.beside_ns += profile_.device.wait_ns;
  }

  std::vector<Placement> Moved(const Instruction& instruction) const {
    if (instruction.shard) {
      return schedule_.shards[Index(*instruction.shard)].members;
    }
    return {{.buffer = *instruction.buffer}};
  }

  void Copy(const Instruction& instruction) {
    const bool is_fetch = instruction.kind == InstructionKind::kFetch;
    const std::int64_t size_bytes = instruction.shard
                                        ? schedule_.shards[Index(*instruction.shard)].size_bytes
                                        : profile_.buffers[Index(*instruction.buffer)].size_bytes;
    Work work{.lane = is_fetch ? Lane::kToDevice : Lane::kToHost,
              .cost = is_fetch ? CostToDevice(profile_.device, size_bytes)
                               : CostToHost(profile_.device, size_bytes)};
    WaitFor(last_compute_, work);
    if (last_compute_ && !is_last_awaited_) {
      AddWait(works_[*last_compute_]);  // It tells the copies that it is over.
    }
    is_last_awaited_ = true;
    std::vector<Busy> taken{};
    for (const Placement& member : Moved(instruction)) {
      const std::size_t buffer = Index(member.buffer);
      WaitFor(is_fetch ? offload_of_[buffer] : fetch_of_[buffer], work);
      if (is_fetch) {
        offsets_[buffer] = instruction.offset_bytes + member.offset_bytes;
      }
      const Place place = PlaceAt(offsets_[buffer], profile_.buffers[buffer].size_bytes);
      if (is_fetch) {
        WaitForPlace(place, work);
      }
      taken.push_back({.place = place, .work = works_.size()});
      (is_fetch ? fetch_of_ : offload_of_)[buffer] = works_.size();
    }
    busy_.insert(busy_.end(), taken.begin(), taken.end());
    works_.push_back(std::move(work));
  }

  const Profile& profile_;
  const PagedSchedule& schedule_;
  const std::vector<OpEffects> effects_;
  std::vector<Work> works_{};
  std::vector<Busy> busy_{};                            // Places that copies may still use.
  std::vector<std::int64_t> offsets_;                   // By buffer, while it is resident.
  std::vector<std::optional<std::size_t>> fetch_of_;    // By buffer: the last one.
  std::vector<std::optional<std::size_t>> offload_of_;  // By buffer: the last one.
  std::optional<std::size_t> last_compute_{};
  bool is_last_awaited_ = false;                      // By a copy.
  std::array<std::size_t, kLaneCount> waited_for_{};  // By lane: one past the latest copy that a
                                                      // compute waited for.
};

}  // namespace

std::int64_t DurationOf(const Profile& profile, const PagedSchedule& schedule,
                        const std::vector<Placement>& initial) {
  WaitFinder finder(profile, schedule, initial);
  std::int64_t duration_ns = 0;
  std::size_t begin = 0;
  for (const PagedPart& part : schedule.parts) {
    const std::vector<Work> works = finder.Find(begin, part.end);
    duration_ns += Clock(works).Run() * part.repeat_count;
    begin = part.end;
  }
  return duration_ns;
}

}  // namespace stint
