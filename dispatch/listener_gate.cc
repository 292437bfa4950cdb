#include "dispatch/listener_gate.h"

#include <algorithm>

#include "ir/errors.h"

namespace stint {

ListenerGate& ListenerGate::Of(DeviceKind kind) {
  // Never destroyed: LibTorch frees tensors in destructors of its own globals.
  static auto* const cpu_gate = new ListenerGate;
  static auto* const cuda_gate = new ListenerGate;
  return kind == DeviceKind::kCpu ? *cpu_gate : *cuda_gate;
}

void* ListenerGate::Request(std::int64_t size_bytes, const std::function<void*()>& serve_natively) {
  std::unique_lock lock(mutex_);
  if (open_scopes_.empty()) {
    lock.unlock();
    return serve_natively();
  }
  const OpenScope scope = open_scopes_.back();
  void* data = scope.listener->OnRequest(size_bytes);
  const bool is_native = data == nullptr;
  if (is_native) {
    data = serve_natively();
    scope.listener->OnServedNatively(data, size_bytes);
  }
  seen_[data] = {.scope = scope.number, .is_native = is_native};
  return data;
}

bool ListenerGate::Release(void* data) {
  const std::lock_guard lock(mutex_);
  const auto seen = seen_.find(data);
  if (seen == seen_.end()) return true;
  const SeenMemory memory = seen->second;
  seen_.erase(seen);
  const auto scope = std::find_if(open_scopes_.begin(), open_scopes_.end(),
                                  [&](const OpenScope& s) { return s.number == memory.scope; });
  if (scope != open_scopes_.end()) scope->listener->OnFree(data);
  return memory.is_native;
}

std::uint64_t ListenerGate::EnterScope(AllocatorListener& listener) {
  const std::lock_guard lock(mutex_);
  open_scopes_.push_back({.number = ++last_scope_, .listener = &listener});
  return last_scope_;
}

void ListenerGate::LeaveScope(std::uint64_t scope) {
  const std::lock_guard lock(mutex_);
  Check(!open_scopes_.empty() && open_scopes_.back().number == scope,
        "allocator listeners leave in reverse order");
  open_scopes_.pop_back();
}

}  // namespace stint
