#include "executor/arena.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "ir/errors.h"
#include "ir/units.h"

namespace stint {

Arena::Arena(void* base, std::int64_t size_bytes, std::vector<PlannedWorkspace> workspaces,
             void* host_scalars)
    : base_(static_cast<std::byte*>(base)),
      size_bytes_(size_bytes),
      workspaces_(std::move(workspaces)),
      host_scalars_(static_cast<std::byte*>(host_scalars)) {}

void* Arena::OnRequest(std::int64_t size_bytes) noexcept {
  const std::lock_guard lock(mutex_);
  if (!is_in_op_) return nullptr;
  void* data = ServeScripted(size_bytes);
  if (data == nullptr) data = ServeWorkspace(size_bytes);
  if (data == nullptr) data = ServeHostScalar(size_bytes);
  if (data == nullptr) served_.foreign.push_back({.where = op_.where, .size_bytes = size_bytes});
  return data;
}

void Arena::OnServedNatively(void* /*data*/, std::int64_t /*size_bytes*/) noexcept {}

void Arena::OnFree(void* data) noexcept {
  const std::lock_guard lock(mutex_);
  const auto range = live_.ranges.find(static_cast<std::byte*>(data) - base_);
  if (range == live_.ranges.end() || range->second.is_residence) return;
  if (!is_in_op_) return Erase(range);
  op_.given_back.push_back(range->first);
  EraseGivenBack(op_.next_request);
}

void Arena::BeginOp(std::vector<PlannedRequest> requests, std::string where,
                    std::int64_t host_scalar_count) {
  const std::lock_guard lock(mutex_);
  op_ = {.requests = std::move(requests),
         .where = std::move(where),
         .host_scalar_count = std::min(host_scalar_count, kHostScalarLimit)};
  is_in_op_ = true;
}

std::vector<std::int64_t> Arena::EndOp() {
  const std::lock_guard lock(mutex_);
  is_in_op_ = false;
  EraseGivenBack(op_.requests.size());
  served_.mismatch_count += static_cast<std::int64_t>(op_.requests.size() - op_.next_request);
  return std::move(op_.live_bytes);
}

/// A request that is not the next of the script may be one that the script does not have, or come
/// after some that did not come this time.
void* Arena::ServeScripted(std::int64_t size_bytes) {
  const auto begin = op_.requests.begin() + static_cast<std::ptrdiff_t>(op_.next_request);
  const auto request = std::find_if(begin, op_.requests.end(), [&](const PlannedRequest& r) {
    return r.size_bytes == size_bytes;
  });
  if (request == op_.requests.end()) return nullptr;
  const std::int64_t end_bytes = request->offset_bytes + AlignUp(size_bytes);
  EraseGivenBack(static_cast<std::size_t>(request - op_.requests.begin()));
  if (end_bytes > size_bytes_ || !IsRangeFree(request->offset_bytes, end_bytes)) return nullptr;
  served_.mismatch_count += request - begin;
  ++served_.request_count;
  op_.next_request = static_cast<std::size_t>(std::next(request) - op_.requests.begin());
  Insert(request->offset_bytes, size_bytes,
         {.role = request->role, .freed_after_request = request->freed_after_request});
  op_.live_bytes.push_back(live_.live_bytes);
  return base_ + request->offset_bytes;
}

void* Arena::ServeWorkspace(std::int64_t size_bytes) {
  for (PlannedWorkspace& workspace : workspaces_) {
    if (workspace.is_served || workspace.size_bytes != size_bytes) continue;
    workspace.is_served = true;  // Its residence began with the run.
    return base_ + workspace.offset_bytes;
  }
  return nullptr;
}

/// LibTorch tells what is live by its address: what one op asks for has different ones.
void* Arena::ServeHostScalar(std::int64_t size_bytes) {
  if (op_.host_scalar_count == 0 || size_bytes > kHostScalarBytes) return nullptr;
  --op_.host_scalar_count;
  return host_scalars_ + op_.host_scalar_count * kHostScalarBytes;
}

std::int64_t Arena::Keep(void* data) {
  const std::lock_guard lock(mutex_);
  const auto range = live_.ranges.find(static_cast<std::byte*>(data) - base_);
  if (range == live_.ranges.end() || range->second.is_residence) return -1;
  range->second.is_residence = true;
  return range->first;
}

void Arena::BeginResidence(std::int64_t offset_bytes, std::int64_t size_bytes, BufferRole role) {
  const std::lock_guard lock(mutex_);
  Check(IsRangeFree(offset_bytes, offset_bytes + AlignUp(size_bytes)),
        "a residence finds its place free");
  Insert(offset_bytes, size_bytes, {.role = role, .is_residence = true});
}

void Arena::EndResidence(std::int64_t offset_bytes) {
  const std::lock_guard lock(mutex_);
  const auto range = live_.ranges.find(offset_bytes);
  Check(range != live_.ranges.end() && range->second.is_residence, "a residence ends once");
  Erase(range);
}

bool Arena::IsFree(std::int64_t begin_bytes, std::int64_t end_bytes) const {
  const std::lock_guard lock(mutex_);
  return IsRangeFree(begin_bytes, end_bytes);
}

bool Arena::IsRangeFree(std::int64_t begin_bytes, std::int64_t end_bytes) const {
  const auto next = live_.ranges.lower_bound(begin_bytes);
  if (next != live_.ranges.end() && next->first < end_bytes) return false;
  return next == live_.ranges.begin() || std::prev(next)->second.end_bytes <= begin_bytes;
}

void Arena::Insert(std::int64_t offset_bytes, std::int64_t size_bytes, const Range& range) {
  const std::int64_t rounded_bytes = AlignUp(size_bytes);
  const std::int64_t end_bytes = offset_bytes + rounded_bytes;
  live_.ranges[offset_bytes] = range;
  live_.ranges[offset_bytes].end_bytes = end_bytes;
  live_.live_bytes += rounded_bytes;
  live_.live_by_role[static_cast<std::size_t>(range.role)] += rounded_bytes;
  highest_end_bytes_ = std::max(highest_end_bytes_, end_bytes);
  if (live_.live_bytes > recent_peak_bytes_) {
    recent_peak_bytes_ = live_.live_bytes;
    recent_peak_by_role_ = live_.live_by_role;
  }
  if (live_.live_bytes > peak_bytes_) {
    peak_bytes_ = live_.live_bytes;
    peak_by_role_ = live_.live_by_role;
  }
}

/// Erases what was given back and dies, by the script, once `request_count` requests were made.
void Arena::EraseGivenBack(std::size_t request_count) {
  std::erase_if(op_.given_back, [&](std::int64_t offset_bytes) {
    const auto range = live_.ranges.find(offset_bytes);
    if (range->second.freed_after_request >= static_cast<std::int32_t>(request_count)) return false;
    Erase(range);
    return true;
  });
}

void Arena::Erase(std::map<std::int64_t, Range>::iterator range) {
  const std::int64_t rounded_bytes = range->second.end_bytes - range->first;
  live_.live_bytes -= rounded_bytes;
  live_.live_by_role[static_cast<std::size_t>(range->second.role)] -= rounded_bytes;
  live_.ranges.erase(range);
}

Arena::Account Arena::account() const {
  const std::lock_guard lock(mutex_);
  return live_;
}

void Arena::SetAccount(Account account) {
  const std::lock_guard lock(mutex_);
  live_ = std::move(account);
}

BytesByRole Arena::TakePeak() {
  const std::lock_guard lock(mutex_);
  recent_peak_bytes_ = live_.live_bytes;
  return std::exchange(recent_peak_by_role_, live_.live_by_role);
}

std::int64_t Arena::live_bytes() const {
  const std::lock_guard lock(mutex_);
  return live_.live_bytes;
}

std::int64_t Arena::highest_end_bytes() const {
  const std::lock_guard lock(mutex_);
  return highest_end_bytes_;
}

std::int64_t Arena::peak_bytes() const {
  const std::lock_guard lock(mutex_);
  return peak_bytes_;
}

std::vector<RoleBytes> Arena::peak_by_role() const {
  const std::lock_guard lock(mutex_);
  std::vector<RoleBytes> roles;
  for (std::size_t role = 0; role < peak_by_role_.size(); ++role) {
    if (peak_by_role_[role] > 0) {
      roles.push_back({.role = static_cast<BufferRole>(role), .size_bytes = peak_by_role_[role]});
    }
  }
  return roles;
}

Served Arena::served() const {
  const std::lock_guard lock(mutex_);
  return served_;
}

}  // namespace stint
