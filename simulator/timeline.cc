#include "simulator/timeline.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <optional>

#include "ir/errors.h"

namespace stint {
namespace {

/// The task a stream is at, and how much of it is left.
struct Running {
  std::size_t task = 0;
  double remaining = 1;  // The fraction still to be done.
};

class Streams {
 public:
  explicit Streams(const std::vector<Task>& tasks)
      : tasks_(tasks), times_(tasks.size()), is_done_(tasks.size(), false) {
    for (std::size_t i = 0; i < tasks.size(); ++i) {
      queues_[static_cast<std::size_t>(tasks[i].stream)].push_back(i);
    }
  }

  std::vector<TaskTimes> Run() {
    std::size_t done_count = 0;
    while (done_count < tasks_.size()) {
      StartWhatCan();
      const std::int64_t next_ns = NextEnd();
      Check(next_ns != kNever, "a task waits for a later one");
      done_count += AdvanceTo(next_ns);
    }
    return std::move(times_);
  }

 private:
  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

  void StartWhatCan() {
    for (std::size_t s = 0; s < kStreamCount; ++s) {
      if (running_[s] || heads_[s] == queues_[s].size()) continue;
      const std::size_t task = queues_[s][heads_[s]];
      const bool is_ready = std::ranges::all_of(
          tasks_[task].waits_for, [&](std::int32_t earlier) { return is_done_.at(earlier); });
      if (!is_ready) continue;
      running_[s] = {.task = task};
      times_[task].begin_ns = now_ns_;
      ++heads_[s];
    }
  }

  bool IsCompute(std::size_t stream) const {
    return static_cast<Stream>(stream) == Stream::kCompute;
  }

  int CopyCount() const {
    return static_cast<int>(running_[static_cast<std::size_t>(Stream::kToHost)].has_value()) +
           static_cast<int>(running_[static_cast<std::size_t>(Stream::kToDevice)].has_value());
  }

  /// How long the whole task of `stream` would take as things are now.
  double WholeTime(std::size_t stream) const {
    const Task& task = tasks_[running_[stream]->task];
    const int others = CopyCount() - (IsCompute(stream) ? 0 : 1);
    const double share = IsCompute(stream) ? others / 2.0 : others;
    return static_cast<double>(task.alone_ns) +
           share * static_cast<double>(task.contended_ns - task.alone_ns);
  }

  std::int64_t EndOf(std::size_t stream) const {
    const std::size_t index = running_[stream]->task;
    const Task& task = tasks_[index];
    if (task.contended_ns == task.alone_ns) return times_[index].begin_ns + task.alone_ns;
    const double left_ns = running_[stream]->remaining * WholeTime(stream);
    // Rounded up, but not for the noise of subtracting fractions.
    return now_ns_ + static_cast<std::int64_t>(std::ceil(left_ns - 1e-6));
  }

  std::int64_t NextEnd() const {
    std::int64_t next_ns = kNever;
    for (std::size_t s = 0; s < kStreamCount; ++s) {
      if (running_[s]) next_ns = std::min(next_ns, EndOf(s));
    }
    return next_ns;
  }

  /// Moves the clock; returns how many tasks are done by then.
  std::size_t AdvanceTo(std::int64_t next_ns) {
    std::array<bool, kStreamCount> ends{};
    for (std::size_t s = 0; s < kStreamCount; ++s) {
      if (!running_[s]) continue;
      ends[s] = EndOf(s) == next_ns;
      if (!ends[s]) running_[s]->remaining -= static_cast<double>(next_ns - now_ns_) / WholeTime(s);
    }
    now_ns_ = next_ns;
    std::size_t done_count = 0;
    for (std::size_t s = 0; s < kStreamCount; ++s) {
      if (!ends[s]) continue;
      times_[running_[s]->task].end_ns = now_ns_;
      is_done_[running_[s]->task] = true;
      running_[s].reset();
      ++done_count;
    }
    return done_count;
  }

  const std::vector<Task>& tasks_;
  std::vector<TaskTimes> times_;
  std::vector<bool> is_done_;
  std::array<std::vector<std::size_t>, kStreamCount> queues_{};
  std::array<std::size_t, kStreamCount> heads_{};
  std::array<std::optional<Running>, kStreamCount> running_{};
  std::int64_t now_ns_ = 0;
};

/// The value of `ns_of` at `size_bytes`, between the measured sizes around it.
template <typename NsOf>
std::int64_t Interpolate(const std::vector<CopyTime>& times, std::int64_t size_bytes, NsOf ns_of) {
  if (times.empty()) return 0;
  if (size_bytes <= times.front().size_bytes) return ns_of(times.front());
  const auto after =
      std::ranges::lower_bound(times, size_bytes, std::less{}, &CopyTime::size_bytes);
  if (after == times.end()) {
    const CopyTime& last = times.back();
    const double factor = static_cast<double>(size_bytes) / static_cast<double>(last.size_bytes);
    return std::llround(static_cast<double>(ns_of(last)) * factor);
  }
  const CopyTime& before = *(after - 1);
  const double fraction = static_cast<double>(size_bytes - before.size_bytes) /
                          static_cast<double>(after->size_bytes - before.size_bytes);
  return ns_of(before) +
         std::llround(static_cast<double>(ns_of(*after) - ns_of(before)) * fraction);
}

}  // namespace

std::vector<TaskTimes> RunTasks(const std::vector<Task>& tasks) { return Streams(tasks).Run(); }

Task MakeCompute(const Device& device, std::int64_t duration_ns) {
  const double factor = 1 + static_cast<double>(device.copy_slowdown_permille) / 1000.0;
  return {.stream = Stream::kCompute,
          .alone_ns = duration_ns,
          .contended_ns = std::llround(static_cast<double>(duration_ns) * factor)};
}

Task MakeCopy(const Device& device, Stream stream, std::int64_t size_bytes) {
  Check(stream != Stream::kCompute, "a copy does not run on the compute stream");
  Task copy = {.stream = stream};
  copy.alone_ns = Interpolate(device.copy_times, size_bytes, [&](const CopyTime& time) {
    return stream == Stream::kToHost ? time.to_host_ns : time.to_device_ns;
  });
  copy.contended_ns =
      std::max(copy.alone_ns, Interpolate(device.copy_times, size_bytes,
                                          [](const CopyTime& time) { return time.both_ns; }));
  return copy;
}

}  // namespace stint
