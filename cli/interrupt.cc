#include "cli/interrupt.h"

namespace stint {
namespace {

std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may only use such");

}  // namespace

ScopedInterrupt::ScopedInterrupt() {
  interrupted = false;
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted = true; };
  action.sa_flags = SA_RESETHAND;
  sigaction(SIGINT, &action, &previous_interrupt_);
  sigaction(SIGTERM, &action, &previous_termination_);
}

ScopedInterrupt::~ScopedInterrupt() {
  sigaction(SIGINT, &previous_interrupt_, nullptr);
  sigaction(SIGTERM, &previous_termination_, nullptr);
}

const std::atomic<bool>& ScopedInterrupt::was_pressed() const { return interrupted; }

}  // namespace stint
