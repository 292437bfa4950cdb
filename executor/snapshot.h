// The state of a training run as an iteration left it, in pinned host memory of its own: what a
// save copies, so that writing it can take its time while the next iterations run. There is one
// snapshot, and its size is part of the plan.
//
//     compute      ... last op | state in the arena -> snapshot | next iteration ...
//     this thread               state in the host pool -> snapshot |
//     to host                                                      | offload into the same place
//
// What waits in the host pool does not pass the device. The next iteration runs meanwhile; only an
// offload into a place that has not been copied yet is issued later. No LibTorch.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <vector>

#include "dispatch/device_runtime.h"
#include "ir/plan.h"
#include "ir/profile.h"

namespace stint {

/// Where a buffer is between two iterations.
struct BufferPlace {
  enum class Kind : std::uint8_t {
    kArena,     // Device memory.
    kHostPool,  // What offloads fill; final once all copies given so far are over.
    kHost,      // Memory that ops use, on the host; final.
  };
  Kind kind{};
  const std::byte* data = nullptr;
};

class StateSnapshot {
 public:
  /// `plan` has a snapshot. The arguments must outlive it, but for `before`, whose loop has ended:
  /// if it is not null, its memory is used again, and what lies there stays until Begin. Its plan
  /// may be another one for the same state. @throws InputError if the host cannot spare the memory.
  StateSnapshot(const Profile& profile, const Plan& plan, DeviceRuntime& runtime,
                const StateSnapshot* before = nullptr);
  ~StateSnapshot();
  StateSnapshot(const StateSnapshot&) = delete;
  StateSnapshot& operator=(const StateSnapshot&) = delete;

  const std::vector<Placement>& places() const { return plan_.snapshot; }
  std::byte* At(const Placement& place) const { return data_.get() + place.offset_bytes; }

  /// Begins to copy the state as the work given to the device so far leaves it, over what was here;
  /// returns at once. From the thread that gives work to the device. What `place_of` names must
  /// stay until it is copied: ask AwaitPool before a place of the host pool is written again.
  void Begin(const std::function<BufferPlace(BufferId)>& place_of);

  /// Until the copy that was begun is whole; at once if none was. From any thread.
  /// @throws what made it fail.
  void Wait() const;

  /// As Wait, but leaves it to others to hear what made it fail.
  void Finish() const {
    if (copying_.valid()) copying_.wait();
  }

  /// Until what was to be copied from this range of the host pool has been.
  void AwaitPool(const std::byte* begin, std::int64_t size_bytes) const;

 private:
  struct Copy {
    const std::byte* source = nullptr;
    std::byte* target = nullptr;
    std::int64_t size_bytes = 0;
  };

  void FindOrder();
  void CopyFromPool();
  void CopyWhatIsNext();

  const Profile& profile_;
  const Plan& plan_;
  DeviceRuntime& runtime_;
  std::shared_ptr<std::byte> data_{};  // Of this one and those before.
  std::unique_ptr<DeviceFence> fence_{};
  std::vector<std::size_t> ranks_{};            // By buffer: when an iteration first offloads it.
  std::vector<Copy> from_pool_{};               // In the order of ranks.
  std::vector<std::atomic<bool>> is_copied_{};  // Of from_pool_.
  std::atomic<std::size_t> next_ = 0;           // The same: nobody has begun with it.
  std::atomic<bool> is_pool_copied_ = true;     // All of it.
  std::shared_future<void> copying_{};          // On a thread of its own, and helpers.
};

}  // namespace stint
