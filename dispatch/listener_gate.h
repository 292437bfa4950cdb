// What the CPU and the CUDA allocator hook share: who listens to a device now, and which live
// memory which listener saw. Knows nothing of LibTorch's allocator classes. Internal to dispatch/.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "dispatch/allocator_hook.h"

namespace stint {

/// One device's requests, one at a time. Thread-safe.
class ListenerGate {
 public:
  /// The gate of `kind`; lives until the process ends, as memory is freed until then.
  static ListenerGate& Of(DeviceKind kind);

  /// Memory for a request: of the innermost listener, else what `serve_natively` returns.
  void* Request(std::int64_t size_bytes, const std::function<void*()>& serve_natively);

  /// Memory comes back; tells the listener that saw its request, if its scope is still open.
  /// @returns whether the native allocator served it and must have it back.
  bool Release(void* data);

  /// Puts `listener` in front until LeaveScope(the result); scopes close in reverse order.
  std::uint64_t EnterScope(AllocatorListener& listener);
  void LeaveScope(std::uint64_t scope);

 private:
  struct OpenScope {
    std::uint64_t number = 0;  // Never used twice in a process.
    AllocatorListener* listener = nullptr;
  };
  struct SeenMemory {
    std::uint64_t scope = 0;
    bool is_native = false;
  };

  std::mutex mutex_;
  std::uint64_t last_scope_ = 0;
  std::vector<OpenScope> open_scopes_;  // Innermost last.
  std::unordered_map<void*, SeenMemory> seen_;
};

}  // namespace stint
