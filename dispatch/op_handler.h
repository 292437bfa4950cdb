// Catches every ATen op that a thread issues, below autograd and above the kernels, and hands it to
// one handler. Nothing here records anything. Internal to dispatch/ and its tests.
//
//     program -> autograd -> [handler] -> kernels of the device
//
// Includes LibTorch's dispatcher: for .cc files only.
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/AutogradState.h>
#include <c10/core/DispatchKey.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

namespace stint {

/// A key that LibTorch 2.11 does not use itself. It lies below autograd, so that backward is seen
/// too; a boxed fallback on it sees every op. Later releases claim it (see cmake/Torch.cmake).
inline constexpr c10::DispatchKey kCaptureKey = c10::DispatchKey::Fake;

class OpHandler {
 public:
  virtual ~OpHandler() = default;

  /// Does the work of `op`, whose arguments are on top of `stack`: replaces them by its results.
  /// `keys` are those below the handler, for op.redispatchBoxed. Ops issued meanwhile come here,
  /// too, unless a ScopedUnhandled is open.
  virtual void Handle(const c10::OperatorHandle& op, c10::DispatchKeySet keys,
                      torch::jit::Stack* stack) = 0;
};

/// Makes `handler` see the ops of this thread until the end of the scope, those of backward too:
/// autograd stays on this thread meanwhile. Scopes do not nest. The handler outlives the scope.
class ScopedOpHandler {
 public:
  explicit ScopedOpHandler(OpHandler& handler);
  ~ScopedOpHandler();
  ScopedOpHandler(const ScopedOpHandler&) = delete;
  ScopedOpHandler& operator=(const ScopedOpHandler&) = delete;

 private:
  bool was_multithreading_;
  c10::impl::IncludeDispatchKeyGuard include_;
};

/// Ops issued until the end of the scope go straight to the kernels.
class ScopedUnhandled {
 public:
  ScopedUnhandled() : exclude_(kCaptureKey) {}

 private:
  c10::impl::ExcludeDispatchKeyGuard exclude_;
};

}  // namespace stint
