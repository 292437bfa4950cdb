#include "executor/snapshot.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "ir/errors.h"

namespace stint {

StateSnapshot::StateSnapshot(const Profile& profile, const Plan& plan, DeviceRuntime& runtime)
    : profile_(profile), plan_(plan), runtime_(runtime), fence_(runtime.MakeFence()) {
  Check(plan.snapshot_bytes > 0, "a plan that saves has a snapshot");
  FindOrder();
  data_ = static_cast<std::byte*>(runtime.AllocateHost(plan.snapshot_bytes));
}

StateSnapshot::~StateSnapshot() {
  Finish();
  runtime_.Synchronize();  // Copies under way fill it.
  runtime_.FreeHost(data_);
}

/// What is overwritten first is copied first.
void StateSnapshot::FindOrder() {
  ranks_.assign(profile_.buffers.size(), std::numeric_limits<std::size_t>::max());
  std::size_t rank = 0;
  const auto see = [&](BufferId id) { ranks_[Index(id)] = std::min(ranks_[Index(id)], rank); };
  for (const PhasePlan& phase : plan_.phases) {
    for (const auto* part : {&phase.prologue, &phase.body, &phase.epilogue}) {
      for (const Instruction& instruction : *part) {
        if (instruction.kind != InstructionKind::kOffload) continue;
        ++rank;
        if (instruction.buffer) see(*instruction.buffer);
        if (!instruction.shard) continue;
        for (const Placement& member : plan_.shards[Index(*instruction.shard)].members) {
          see(member.buffer);
        }
      }
    }
  }
}

void StateSnapshot::Begin(const std::function<BufferPlace(BufferId)>& place_of) {
  if (copying_.valid()) copying_.get();  // The one before, which nobody may have waited for.
  from_pool_.clear();
  std::vector<Placement> in_pool;
  for (const Placement& place : plan_.snapshot) {
    const std::int64_t size_bytes = profile_.buffers[Index(place.buffer)].size_bytes;
    const BufferPlace from = place_of(place.buffer);
    Check(from.data != nullptr, "state is somewhere between two iterations");
    switch (from.kind) {
      case BufferPlace::Kind::kArena:
        runtime_.CopyInOrder(At(place), from.data, size_bytes);
        break;
      case BufferPlace::Kind::kHostPool:
        in_pool.push_back(place);
        break;
      case BufferPlace::Kind::kHost:
        std::memcpy(At(place), from.data, static_cast<std::size_t>(size_bytes));
        break;
    }
  }
  fence_->Record();
  std::ranges::stable_sort(in_pool, std::less{},
                           [&](const Placement& place) { return ranks_[Index(place.buffer)]; });
  for (const Placement& place : in_pool) {
    from_pool_.push_back({.source = place_of(place.buffer).data,
                          .target = At(place),
                          .size_bytes = profile_.buffers[Index(place.buffer)].size_bytes});
  }
  copied_count_ = 0;
  copying_ = std::async(std::launch::async, [this] { CopyFromPool(); }).share();
}

void StateSnapshot::CopyFromPool() {
  // Whatever happens, nobody waits for ever.
  struct Finish {
    StateSnapshot& snapshot;
    ~Finish() {
      snapshot.copied_count_ = snapshot.from_pool_.size();
      snapshot.copied_count_.notify_all();
    }
  } const finish{*this};
  fence_->Wait();  // Copies into the pool, and those from the arena, are over.
  for (const Copy& copy : from_pool_) {
    std::memcpy(copy.target, copy.source, static_cast<std::size_t>(copy.size_bytes));
    ++copied_count_;
    copied_count_.notify_all();
  }
}

void StateSnapshot::Wait() const {
  if (copying_.valid()) copying_.get();
}

void StateSnapshot::AwaitPool(const std::byte* begin, std::int64_t size_bytes) const {
  if (copied_count_ == from_pool_.size()) return;
  const std::byte* const end = begin + size_bytes;
  std::size_t due = 0;
  for (std::size_t i = from_pool_.size(); i > 0 && due == 0; --i) {
    const Copy& copy = from_pool_[i - 1];
    if (copy.source < end && begin < copy.source + copy.size_bytes) due = i;
  }
  for (std::size_t count = copied_count_; count < due; count = copied_count_) {
    copied_count_.wait(count);
  }
}

}  // namespace stint
