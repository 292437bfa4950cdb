// The arena: one range of device memory in which every request of a planned run lies where the plan
// says. Serves the requests of the op being issued, and keeps its own account of what is live, from
// what is really requested and given back. Knows nothing of LibTorch.
//
//     BeginOp   request, request, give back, request ...   EndOp
//               served in the order of the op's script
//
// The threads of one op give memory back in any order: what comes before its time in the script
// counts at that time. A request that the script does not have, or whose place is still taken, goes
// to the native allocator, counted and named; nothing throws inside an op.
//
// Some kernels return the seed of their dropout, which lies in host memory, but on the device while
// a graph is captured. Without dropout nobody writes or reads it, so few places serve all ops.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "dispatch/allocator_hook.h"
#include "ir/profile.h"
#include "ir/report.h"

namespace stint {

/// One expected request of the op about to be issued.
struct PlannedRequest {
  std::int64_t size_bytes = 0;    // As asked; > 0.
  std::int64_t offset_bytes = 0;  // A multiple of kAlignmentBytes.
  BufferRole role{};              // Of the buffer it becomes; kWorkspace if it becomes none.
  std::int32_t freed_after_request = -1;  // As in Request.
};

/// A library's workspace: asked for once, by whichever op first needs it.
struct PlannedWorkspace {
  std::int64_t size_bytes = 0;
  std::int64_t offset_bytes = 0;
  bool is_served = false;
};

/// Thread-safe; the executor's own calls come from one thread.
class Arena final : public AllocatorListener {
 public:
  struct Range {
    std::int64_t end_bytes = 0;
    BufferRole role{};
    bool is_residence = false;
    std::int32_t freed_after_request =
        -1;  // Of the current op's script; -1 if it becomes a buffer.
  };
  /// What is live now.
  struct Account {
    std::map<std::int64_t, Range> ranges{};  // By offset; disjoint.
    std::int64_t live_bytes = 0;             // Their sum.
    BytesByRole live_by_role{};
  };

  /// What an op may ask the device for in place of a value in host memory, and for how many.
  static constexpr std::int64_t kHostScalarBytes = 16;
  static constexpr std::int64_t kHostScalarLimit = 8;

  /// `base` begins `size_bytes` of device memory, and `host_scalars` kHostScalarLimit times
  /// kHostScalarBytes of it (or is null: none are asked for), that outlive the arena.
  Arena(void* base, std::int64_t size_bytes, std::vector<PlannedWorkspace> workspaces,
        void* host_scalars = nullptr);

  void* OnRequest(std::int64_t size_bytes) noexcept override;
  void OnServedNatively(void* data, std::int64_t size_bytes) noexcept override;
  void OnFree(void* data) noexcept override;

  /// Until EndOp, requests are those of the op that `where` names. Outside of ops all requests go
  /// to the native allocator, uncounted. Of its outputs `host_scalar_count` lie in host memory; at
  /// most kHostScalarLimit count.
  void BeginOp(std::vector<PlannedRequest> requests, std::string where,
               std::int64_t host_scalar_count = 0);

  /// Live bytes right after each scripted request of the op, in the order they came.
  std::vector<std::int64_t> EndOp();

  /// The memory at `data` stays when LibTorch gives it back: it begins a residence, which
  /// EndResidence ends. @returns its offset, or -1 if it is none that this arena serves now.
  std::int64_t Keep(void* data);

  /// A residence that no request begins: loaded, fetched.
  void BeginResidence(std::int64_t offset_bytes, std::int64_t size_bytes, BufferRole role);
  void EndResidence(std::int64_t offset_bytes);

  void* AddressOf(std::int64_t offset_bytes) const { return base_ + offset_bytes; }

  /// Whether nothing is live in [begin_bytes, end_bytes).
  bool IsFree(std::int64_t begin_bytes, std::int64_t end_bytes) const;

  /// The account as it is now, and its return to an earlier state: what a graph does to memory
  /// when it is launched is known from when it was captured.
  Account account() const;
  void SetAccount(Account account);

  /// Forgets the highest live bytes since the last call, by role, and starts anew from what is live
  /// now.
  BytesByRole TakePeak();

  std::int64_t live_bytes() const;
  std::int64_t highest_end_bytes() const;
  std::int64_t peak_bytes() const;  // Over all time.
  std::vector<RoleBytes> peak_by_role() const;
  Served served() const;

 private:
  struct CurrentOp {
    std::vector<PlannedRequest> requests{};
    std::size_t next_request = 0;
    std::string where{};
    std::int64_t host_scalar_count = 0;  // Not yet asked for.
    std::vector<std::int64_t> live_bytes{};
    std::vector<std::int64_t> given_back{};  // Offsets of ranges that the script lets live longer.
  };

  void* ServeWorkspace(std::int64_t size_bytes);
  void* ServeHostScalar(std::int64_t size_bytes);
  void* ServeScripted(std::int64_t size_bytes);
  bool IsRangeFree(std::int64_t begin_bytes, std::int64_t end_bytes) const;
  void Insert(std::int64_t offset_bytes, std::int64_t size_bytes, const Range& range);
  void EraseGivenBack(std::size_t request_count);
  void Erase(std::map<std::int64_t, Range>::iterator range);

  std::byte* base_;
  std::int64_t size_bytes_;
  std::vector<PlannedWorkspace> workspaces_;
  std::byte* host_scalars_;

  mutable std::mutex mutex_;
  bool is_in_op_ = false;
  CurrentOp op_{};
  Account live_{};
  std::int64_t recent_peak_bytes_ = 0;
  BytesByRole recent_peak_by_role_{};
  std::int64_t peak_bytes_ = 0;
  BytesByRole peak_by_role_{};
  std::int64_t highest_end_bytes_ = 0;
  Served served_{};
};

}  // namespace stint
