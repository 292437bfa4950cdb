// Ctrl-C and SIGTERM as a request instead of an end.
#pragma once

#include <atomic>
#include <csignal>

namespace stint {

/// While it lives, the first Ctrl-C or SIGTERM sets a flag and the second of its kind ends the
/// process as usual. One at a time.
class ScopedInterrupt {
 public:
  ScopedInterrupt();
  ~ScopedInterrupt();
  ScopedInterrupt(const ScopedInterrupt&) = delete;
  ScopedInterrupt& operator=(const ScopedInterrupt&) = delete;

  const std::atomic<bool>& was_pressed() const;

 private:
  struct sigaction previous_interrupt_ {};
  struct sigaction previous_termination_ {};
};

}  // namespace stint
