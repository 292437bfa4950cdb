// Inputs on their way to the device and outputs on their way back, through two fixed places each in
// pinned host memory, so that neither side waits for the other:
//
//     host      fill 1 |              | fill 0, read 0     | fill 1, read 1
//     device           | iteration 0: slot 0 | iteration 1: slot 1 | iteration 2: slot 0
//
// Internal to executor/.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "dispatch/device_runtime.h"
#include "executor/executor.h"
#include "executor/values.h"

namespace stint {

class IoSlots {
 public:
  /// The arguments must outlive it. @throws InputError if the host has no memory for the slots.
  IoSlots(const Profile& profile, DeviceRuntime& runtime, const LoopOptions& options);
  ~IoSlots();
  IoSlots(const IoSlots&) = delete;
  IoSlots& operator=(const IoSlots&) = delete;

  /// Asks for the inputs of `iteration`, once the slot they go to is free.
  void Prepare(std::int64_t iteration);
  /// Issues their way to where the iteration finds them: `place_of` gives the place of each.
  void Send(std::int64_t iteration, const std::function<void*(BufferId)>& place_of);
  /// Issues the way of the outputs, which have been made, to the host; null: gone already.
  void Receive(std::int64_t iteration, const std::function<void*(BufferId)>& place_of);
  /// Hands them out; waits for this iteration, not for later ones.
  void Give(std::int64_t iteration);

 private:
  struct Item {
    BufferId id{};
    std::int64_t offset_bytes = 0;  // In the slot.
    bool is_there = true;           // Outputs that a repeated phase makes do not outlive it.
  };
  /// Two slots for one direction.
  struct Pair {
    std::vector<Item> items{};
    std::int64_t size_bytes = 0;  // Of one slot.
    std::byte* data = nullptr;
    std::array<std::unique_ptr<DeviceFence>, 2> fences{};  // The slot's newest copies.

    std::byte* At(std::int64_t iteration, const Item& item) const {
      return data + (iteration % 2) * size_bytes + item.offset_bytes;
    }
    DeviceFence& FenceOf(std::int64_t iteration) const {
      return *fences[static_cast<std::size_t>(iteration % 2)];
    }
  };

  void Add(Pair& pair, BufferId id) const;
  void Allocate(Pair& pair);

  const Profile& profile_;
  DeviceRuntime& runtime_;
  const LoopOptions& options_;
  BufferShapes shapes_;
  Pair inputs_{};
  Pair outputs_{};
};

}  // namespace stint
