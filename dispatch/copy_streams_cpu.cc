#include <array>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "dispatch/copy_streams.h"

namespace stint {
namespace {

std::size_t Slot(Stream stream) { return static_cast<std::size_t>(stream); }

class CpuCopyStreams final : public CopyStreams {
 public:
  CpuCopyStreams() {
    for (const Stream stream : {Stream::kToHost, Stream::kToDevice}) {
      workers_[Slot(stream)] = std::thread([this, stream] { Work(Slot(stream)); });
    }
  }

  ~CpuCopyStreams() override {
    {
      const std::lock_guard lock(mutex_);
      is_ending_ = true;
      changed_.notify_all();
    }
    for (std::thread& worker : workers_) {
      if (worker.joinable()) worker.join();
    }
  }

  void Begin() override {
    WaitUntilIdle();
    const std::lock_guard lock(mutex_);
    counts_ = {};
  }

  void End() override { WaitUntilIdle(); }

  void Copy(Stream stream, void* target, const void* source, std::int64_t size_bytes) override {
    Give(stream, [=] { std::memcpy(target, source, static_cast<std::size_t>(size_bytes)); });
  }

  void Fill(Stream stream, void* device_data, std::uint8_t byte, std::int64_t size_bytes) override {
    Give(stream, [=] { std::memset(device_data, byte, static_cast<std::size_t>(size_bytes)); });
  }

  void Signal(Stream stream, std::int32_t count) override {
    Give(stream, [this, stream, count] {
      const std::lock_guard lock(mutex_);
      counts_[Slot(stream)] = count;
      changed_.notify_all();
    });
  }

  void Await(Stream stream, Stream other, std::int32_t count) override {
    Give(stream, [this, other, count] {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return counts_[Slot(other)] >= count || is_ending_; });
    });
  }

  void Delay(Stream stream, std::int64_t duration_ns) override {
    Give(stream,
         [duration_ns] { std::this_thread::sleep_for(std::chrono::nanoseconds(duration_ns)); });
  }

  void Mark(Stream stream, std::size_t mark) override {
    Give(stream, [this, mark] {
      const std::lock_guard lock(mutex_);
      if (marks_.size() <= mark) marks_.resize(mark + 1);
      marks_[mark] = std::chrono::steady_clock::now();
    });
  }

  std::int64_t TimeBetween(std::size_t begin_mark, std::size_t end_mark) const override {
    const std::lock_guard lock(mutex_);
    return std::chrono::duration_cast<std::chrono::nanoseconds>(marks_.at(end_mark) -
                                                                marks_.at(begin_mark))
        .count();
  }

 private:
  using Task = std::function<void()>;

  /// Compute is the caller: what it is given is done at once.
  void Give(Stream stream, Task task) {
    if (stream == Stream::kCompute) return task();
    const std::lock_guard lock(mutex_);
    queues_[Slot(stream)].push_back(std::move(task));
    changed_.notify_all();
  }

  void WaitUntilIdle() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] {
      return !is_busy_[Slot(Stream::kToHost)] && !is_busy_[Slot(Stream::kToDevice)] &&
             queues_[Slot(Stream::kToHost)].empty() && queues_[Slot(Stream::kToDevice)].empty();
    });
  }

  void Work(std::size_t slot) {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [&] { return !queues_[slot].empty() || is_ending_; });
      if (queues_[slot].empty()) return;
      const Task task = std::move(queues_[slot].front());
      queues_[slot].pop_front();
      is_busy_[slot] = true;
      lock.unlock();
      task();
      lock.lock();
      is_busy_[slot] = false;
      changed_.notify_all();
    }
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;  // Anything below.
  std::array<std::deque<Task>, kStreamCount> queues_{};
  std::array<bool, kStreamCount> is_busy_{};
  std::array<std::int32_t, kStreamCount> counts_{};
  std::vector<std::chrono::steady_clock::time_point> marks_{};
  bool is_ending_ = false;
  std::array<std::thread, kStreamCount> workers_{};  // None for compute.
};

}  // namespace

std::unique_ptr<CopyStreams> MakeCpuCopyStreams() { return std::make_unique<CpuCopyStreams>(); }

}  // namespace stint
