#include "profiler/step_times.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "dispatch/allocator_hook.h"
#include "dispatch/replay.h"
#include "dispatch/scratch_memory.h"
#include "ir/effects.h"
#include "ir/units.h"

namespace stint {
namespace {

constexpr std::int64_t kStretchNs = 2'000'000;
constexpr std::size_t kStretchOps = 64;
constexpr std::int64_t kRepeatLimit = 16;
constexpr std::int64_t kLaunchCount = 7;
constexpr std::size_t kDetailInterval = 4;  // Every so many stretches with waits and copies, too.
constexpr std::int64_t kCopyBytes = 16 << 20;
constexpr std::int64_t kUnplannedBytes = 16 * kAlignmentBytes;

/// Serves the requests of one op after the other, where the stretch has room for them.
class StretchListener final : public AllocatorListener {
 public:
  void BeginOp(std::vector<std::pair<std::int64_t, void*>> planned, std::byte* unplanned) {
    planned_ = std::move(planned);
    next_ = 0;
    unplanned_ = unplanned;
    unplanned_left_bytes_ = kUnplannedBytes;
  }

  void* OnRequest(std::int64_t size_bytes) noexcept override {
    if (next_ < planned_.size() && planned_[next_].first == size_bytes) {
      return planned_[next_++].second;
    }
    // A value that lies in host memory, but not while a graph is captured.
    if (AlignUp(size_bytes) > unplanned_left_bytes_) return nullptr;
    unplanned_left_bytes_ -= AlignUp(size_bytes);
    return unplanned_ + unplanned_left_bytes_;
  }
  void OnServedNatively(void* /*data*/, std::int64_t /*size_bytes*/) noexcept override {}
  void OnFree(void* /*data*/) noexcept override {}

 private:
  std::vector<std::pair<std::int64_t, void*>> planned_{};  // Size and place of each request.
  std::size_t next_ = 0;
  std::byte* unplanned_ = nullptr;
  std::int64_t unplanned_left_bytes_ = 0;
};

/// Consecutive ops, and room for each buffer that they use.
struct Stretch {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::int64_t duration_ns = 0;  // The sum of its ops.
  std::map<BufferId, std::int64_t> offsets_bytes{};
  std::int64_t buffer_bytes = 0;
  std::int64_t inner_bytes = 0;  // Of the op that asks for most beside what becomes a buffer.

  std::int64_t size_bytes() const { return buffer_bytes + inner_bytes + kUnplannedBytes; }
};

class StretchRun {
 public:
  StretchRun(const Profile& profile, DeviceRuntime& runtime, std::int64_t memory_bytes,
             const std::function<void()>& on_run)
      : profile_(profile),
        runtime_(runtime),
        on_run_(on_run),
        effects_(DeriveEffects(profile)),
        dtypes_(profile.buffers.size()),
        host_(profile.buffers.size()),
        ops_(profile) {
    for (const Tensor& tensor : profile.tensors) dtypes_[Index(tensor.buffer)] = tensor.dtype;
    for (std::size_t i = 0; i < profile.buffers.size(); ++i) {
      const Buffer& buffer = profile.buffers[i];
      if (buffer.is_host) host_[i].resize(static_cast<std::size_t>(buffer.size_bytes));
    }
    for (const Phase& phase : profile.phases)
      Cut(Index(phase.begin), Index(phase.end), memory_bytes);
  }

  StepTimes Measure() {
    const std::unique_ptr<CopyStreams> streams = runtime_.MakeCopyStreams();
    for (std::size_t i = 0; i < stretches_.size(); ++i) {
      MeasureStretch(stretches_[i], i % kDetailInterval == 0 ? streams.get() : nullptr);
    }
    StepTimes times;
    if (sum_ns_ > 0) times.step_permille = std::llround(1000.0 * Ratio(in_row_ns_, sum_ns_));
    if (wait_count_ > 0) {
      times.wait_ns = std::max<std::int64_t>(0, (with_waits_ns_ - without_waits_ns_) / wait_count_);
    }
    if (alone_ns_ > 0) {
      times.copy_slowdown_permille = std::clamp<std::int64_t>(
          std::llround(1000.0 * (Ratio(beside_copies_ns_, alone_ns_) - 1)), 0, 1000);
    }
    return times;
  }

 private:
  static double Ratio(std::int64_t a, std::int64_t b) {
    return static_cast<double>(a) / static_cast<double>(b);
  }

  /// Cuts ops [begin, end) into stretches.
  void Cut(std::size_t begin, std::size_t end, std::int64_t memory_bytes) {
    Stretch stretch{.begin = begin, .end = begin};
    const auto close = [&](std::size_t next) {
      if (stretch.end - stretch.begin > 1) stretches_.push_back(stretch);
      stretch = {.begin = next, .end = next};
    };
    for (std::size_t i = begin; i < end; ++i) {
      if (profile_.ops[i].random) {
        close(i + 1);
        continue;
      }
      Stretch longer = stretch;
      Add(i, longer);
      const bool fits = longer.size_bytes() <= memory_bytes && longer.duration_ns <= kStretchNs &&
                        longer.end - longer.begin <= kStretchOps;
      if (!fits) {
        close(i);
        longer = stretch;
        Add(i, longer);
      }
      stretch = std::move(longer);
    }
    close(end);
  }

  void Add(std::size_t op, Stretch& stretch) const {
    const auto place = [&](BufferId id) {
      const Buffer& buffer = profile_.buffers[Index(id)];
      if (buffer.is_host || buffer.size_bytes == 0) return;
      const auto [at, is_new] = stretch.offsets_bytes.try_emplace(id, stretch.buffer_bytes);
      if (is_new) stretch.buffer_bytes += AlignUp(buffer.size_bytes);
    };
    for (const Value& value : effects_[op].reads) place(value.buffer);
    for (const BufferId id : profile_.ops[op].writes) place(id);
    std::int64_t inner_bytes = 0;
    for (const Request& request : profile_.ops[op].requests) {
      if (request.buffer) {
        place(*request.buffer);
      } else {
        inner_bytes += AlignUp(request.size_bytes);
      }
    }
    stretch.inner_bytes = std::max(stretch.inner_bytes, inner_bytes);
    stretch.duration_ns += profile_.ops[op].duration_ns;
    stretch.end = op + 1;
  }

  void MeasureStretch(const Stretch& stretch, CopyStreams* streams) {
    const ScratchMemory memory(runtime_, stretch.size_bytes());
    memory_ = memory.data();
    if (on_run_) on_run_();
    std::uint64_t seed = 0;
    for (const auto& [id, offset_bytes] : stretch.offsets_bytes) {
      runtime_.FillRandom(memory_ + offset_bytes, dtypes_[Index(id)],
                          profile_.buffers[Index(id)].size_bytes, ++seed);
    }
    const ScopedAllocatorListener serving(runtime_.kind(), listener_);
    Issue(stretch, nullptr);  // Outside of a graph, libraries may load what they need.
    const std::int64_t repeat_count = std::clamp<std::int64_t>(
        kStretchNs / std::max<std::int64_t>(stretch.duration_ns, 1), 1, kRepeatLimit);
    const auto capture = [&](CopyStreams* waited_for) {
      return runtime_.CaptureGraph([&] {
        for (std::int64_t i = 0; i < repeat_count; ++i) Issue(stretch, waited_for);
      });
    };
    const std::unique_ptr<DeviceGraph> graph = capture(nullptr);
    const std::int64_t in_row_ns = Time(*graph);
    in_row_ns_ += in_row_ns;
    sum_ns_ += repeat_count * stretch.duration_ns;
    if (streams == nullptr) return;

    const std::unique_ptr<DeviceGraph> with_waits = capture(streams);
    with_waits_ns_ += Time(*with_waits);
    without_waits_ns_ += in_row_ns;
    wait_count_ += 2 * repeat_count * static_cast<std::int64_t>(stretch.end - stretch.begin);

    beside_copies_ns_ += TimeBesideCopies(*graph, in_row_ns, *streams);
    alone_ns_ += in_row_ns;
  }

  /// Of one launch that follows another; a median.
  std::int64_t Time(DeviceGraph& graph) {
    std::vector<std::int64_t> times_ns =
        runtime_.TimeEach(kLaunchCount, [&](std::int64_t) { graph.Launch(); });
    times_ns.erase(times_ns.begin());
    const auto middle = times_ns.begin() + std::ssize(times_ns) / 2;
    std::ranges::nth_element(times_ns, middle);
    return *middle;
  }

  std::int64_t TimeBesideCopies(DeviceGraph& graph, std::int64_t alone_ns, CopyStreams& streams) {
    const ScratchMemory device(runtime_, 2 * kCopyBytes);
    const HostScratchMemory host(runtime_, 2 * kCopyBytes);
    // At any link's rate some are under way to the end.
    const std::int64_t copy_ns = BothWaysNs();
    const std::int64_t copy_count =
        2 + 2 * kLaunchCount * alone_ns / std::max<std::int64_t>(copy_ns, 1);
    streams.Begin();
    for (std::int64_t i = 0; i < copy_count; ++i) {
      streams.Copy(Stream::kToHost, host.data(), device.data(), kCopyBytes);
      streams.Copy(Stream::kToDevice, device.data() + kCopyBytes, host.data() + kCopyBytes,
                   kCopyBytes);
    }
    const std::int64_t time_ns = Time(graph);
    streams.End();
    runtime_.Synchronize();
    return time_ns;
  }

  std::int64_t BothWaysNs() const {
    for (const CopyTime& time : profile_.device.copy_times) {
      if (time.size_bytes >= kCopyBytes) return time.both_ns;
    }
    return 1'000'000;
  }

  /// With `streams`, each op waits for what is over already, and says when it is done itself.
  void Issue(const Stretch& stretch, CopyStreams* streams) {
    for (std::size_t i = stretch.begin; i < stretch.end; ++i) {
      std::vector<std::pair<std::int64_t, void*>> planned;
      std::byte* inner = memory_ + stretch.buffer_bytes;
      for (const Request& request : profile_.ops[i].requests) {
        if (request.buffer) {
          planned.emplace_back(request.size_bytes, AddressOf(stretch, *request.buffer));
        } else {
          planned.emplace_back(request.size_bytes, inner);
          inner += AlignUp(request.size_bytes);
        }
      }
      listener_.BeginOp(std::move(planned), memory_ + stretch.buffer_bytes + stretch.inner_bytes);
      if (streams != nullptr) streams->Await(Stream::kCompute, Stream::kToDevice, 0);
      ops_.Call(
          OpId(i), 0, [&](BufferId id) { return AddressOf(stretch, id); },
          [](BufferId /*id*/, void* /*data*/) {});
      if (streams != nullptr) streams->Signal(Stream::kCompute, 1);
    }
  }

  void* AddressOf(const Stretch& stretch, BufferId id) {
    if (profile_.buffers[Index(id)].is_host) return host_[Index(id)].data();
    const auto found = stretch.offsets_bytes.find(id);
    return found == stretch.offsets_bytes.end() ? nullptr : memory_ + found->second;
  }

  const Profile& profile_;
  DeviceRuntime& runtime_;
  const std::function<void()>& on_run_;
  const std::vector<OpEffects> effects_;
  std::vector<std::string> dtypes_;           // By buffer: of a tensor that views it.
  std::vector<std::vector<std::byte>> host_;  // By buffer: those in host memory.
  OpTable ops_;
  StretchListener listener_{};
  std::vector<Stretch> stretches_{};
  std::byte* memory_ = nullptr;  // Of the stretch at hand.

  std::int64_t sum_ns_ = 0;     // Of ops by themselves,
  std::int64_t in_row_ns_ = 0;  // and what they take in a row.
  std::int64_t without_waits_ns_ = 0;
  std::int64_t with_waits_ns_ = 0;
  std::int64_t wait_count_ = 0;
  std::int64_t alone_ns_ = 0;
  std::int64_t beside_copies_ns_ = 0;
};

}  // namespace

StepTimes MeasureStepTimes(const Profile& profile, DeviceRuntime& runtime,
                           std::int64_t memory_bytes, const std::function<void()>& on_run) {
  if (runtime.CaptureGraph([] {}) == nullptr) return {};
  return StretchRun(profile, runtime, memory_bytes, on_run).Measure();
}

}  // namespace stint
