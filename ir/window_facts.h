// The program of a certificate by windows, for its checker: what each row may say of ops and
// buffers (ir/check_copy_certificate.h). Shares no code with the planner. Refuses to know:
// multipliers.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "ir/effects.h"
#include "ir/first_runs.h"
#include "ir/plan.h"
#include "ir/profile.h"

namespace stint {

inline constexpr std::int32_t kNeverPlace = std::numeric_limits<std::int32_t>::max();
inline constexpr std::int32_t kAlwaysPlace = -1;  // In place of a creator: holds a value always.

/// Windows are bits.
using WindowBits = std::uint64_t;
constexpr WindowBits BitOf(std::int32_t window) { return WindowBits{1} << window; }
constexpr bool HasBit(WindowBits bits, std::int32_t window) { return (bits >> window & 1) != 0; }

/// What rows ask of a buffer. Places are indices into the order of first runs.
struct WindowBuffer {
  bool is_movable = false;                 // Not a library's, not the host's.
  bool is_persistent = false;              //
  std::int32_t creator = kNeverPlace;      // Place; kAlwaysPlace for persistent ones.
  std::int32_t first_write = kNeverPlace;  // Place, of ops with a fixed place.
  WindowBits used = 0;                     // Windows in which ops with a fixed place use it first.
  WindowBits late = 0;            // In which an update that may come later can first use it.
  WindowBits written = 0;         //
  std::int32_t late_write = -1;   // The last window in which such an update can first write it.
  WindowBits held = 0;            // Cuts whose op uses it.
  std::int32_t wanted_until = 0;  // The last window in which having it can help any first run.
  // Of all that count as this one:
  std::int64_t blocks = 0;
  std::int64_t to_host_ns = 0;
  std::int64_t to_device_ns = 0;
  BufferId first{};              // The one that names them.
  std::int32_t alike_count = 0;  // 0 unless it names them.
};

struct WindowOp {
  std::int32_t place = 0;
  bool may_move = false;
  bool can_run_again = false;
  std::int32_t again_until = -1;         // The last window in which that can help any first run.
  std::int32_t lost_from = kNeverPlace;  // Place of the first op after it that overwrites a
                                         // persistent buffer it reads.
};

struct WindowFacts {
  std::vector<OpEffects> effects{};         // By op.
  FirstRuns runs{};                         //
  std::int32_t count = 0;                   // Of windows.
  std::vector<std::int32_t> starts{};       // By window: the place of its cut.
  std::vector<std::int64_t> taken_bytes{};  // By libraries and by what its op asks for.
  std::vector<std::int64_t> window_ns{};    // First runs with a fixed place.
  std::vector<std::int64_t> late_ns{};      // Of updates that can first run there.
  std::vector<WindowOp> ops{};              // By op.
  std::vector<WindowBuffer> buffers{};      // By buffer.

  std::int32_t Start(std::int32_t window) const { return starts[static_cast<std::size_t>(window)]; }
};

/// Where the plans of a class with copies run updates; those of "updates-movable-copies" run them
/// there or later.
UpdatePlace UpdatesOf(const std::string& plan_class);

/// @throws InputError naming the part of the certificate (`where`) that is wrong: amounts out of
/// range, cuts that are none, a program that repeats a phase or knows nothing of copies.
WindowFacts WindowFactsOf(const Profile& profile, const Certificate& certificate,
                          const std::string& where);

}  // namespace stint
