// Issues one recorded op on memory that the caller chose. Tensors are rebuilt from the profile's
// numbers for each call and do not outlive it; views cost no dispatch.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "ir/profile.h"

namespace stint {

/// The ops of one profile, looked up in LibTorch's dispatcher once.
/// Keeps a reference to the profile, which must outlive it.
class OpTable {
 public:
  /// @throws InputError (naming `where` and the op's pointer) if this LibTorch lacks an op or its
  /// schema does not fit the recorded arguments.
  explicit OpTable(const Profile& profile, const std::string& where = "profile");
  ~OpTable();

  /// Calls `op`. `address_of` gives the start of each buffer it reads or writes (host buffers too).
  /// Its allocations are the business of the device's AllocatorListener. Results are dropped once
  /// `on_output` has seen where each new buffer of its outputs begins.
  /// `iteration` moves the numbers of random ops.
  void Call(OpId op, std::int64_t iteration, const std::function<void*(BufferId)>& address_of,
            const std::function<void(BufferId, void* data)>& on_output) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace stint
