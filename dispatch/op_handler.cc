#include "dispatch/op_handler.h"

#include <torch/library.h>

#include "ir/errors.h"

namespace stint {
namespace {

thread_local OpHandler* current_handler = nullptr;

void OnOp(const c10::OperatorHandle& op, c10::DispatchKeySet keys, torch::jit::Stack* stack) {
  Check(current_handler != nullptr, "an op of the program ran on another thread");
  current_handler->Handle(
      op, keys & c10::DispatchKeySet(c10::DispatchKeySet::FULL_AFTER, kCaptureKey), stack);
}

// In the same object file as ScopedOpHandler, so that the linker keeps it.
TORCH_LIBRARY_IMPL(_, Fake, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&OnOp>());
}

}  // namespace

ScopedOpHandler::ScopedOpHandler(OpHandler& handler)
    : was_multithreading_(c10::AutogradState::get_tls_state().get_multithreading_enabled()),
      include_(kCaptureKey) {
  Check(current_handler == nullptr, "op handlers do not nest");
  current_handler = &handler;
  c10::AutogradState::get_tls_state().set_multithreading_enabled(false);
}

ScopedOpHandler::~ScopedOpHandler() {
  c10::AutogradState::get_tls_state().set_multithreading_enabled(was_multithreading_);
  current_handler = nullptr;
}

}  // namespace stint
