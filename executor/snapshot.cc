#include "executor/snapshot.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <thread>

#include "ir/errors.h"

namespace stint {
namespace {

constexpr std::size_t kMostThreads = 4;

}  // namespace

StateSnapshot::StateSnapshot(const Profile& profile, const Plan& plan, DeviceRuntime& runtime,
                             const StateSnapshot* before)
    : profile_(profile), plan_(plan), runtime_(runtime), fence_(runtime.MakeFence()) {
  Check(plan.snapshot_bytes > 0, "a plan that saves has a snapshot");
  FindOrder();
  if (before != nullptr) {
    before->Finish();
    Check(before->plan_.snapshot_bytes == plan.snapshot_bytes, "plans of a run have one state");
    data_ = before->data_;
    return;
  }
  data_ = {static_cast<std::byte*>(runtime.AllocateHost(plan.snapshot_bytes)),
           [&runtime](std::byte* data) {
             runtime.Synchronize();  // Copies under way fill it.
             runtime.FreeHost(data);
           }};
}

StateSnapshot::~StateSnapshot() { Finish(); }

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
  is_copied_ = std::vector<std::atomic<bool>>(from_pool_.size());
  next_ = 0;
  is_pool_copied_ = false;
  copying_ = std::async(std::launch::async, [this] { CopyFromPool(); }).share();
}

void StateSnapshot::CopyFromPool() {
  // Whatever happens, nobody waits for ever.
  struct Finish {
    StateSnapshot& snapshot;
    ~Finish() {
      snapshot.is_pool_copied_ = true;
      for (std::atomic<bool>& is_copied : snapshot.is_copied_) {
        is_copied = true;
        is_copied.notify_all();
      }
    }
  } const finish{*this};
  fence_->Wait();  // Copies into the pool, and those from the arena, are over.
  // One thread copies less than a link to a device does.
  const std::size_t helper_count =
      std::min<std::size_t>(std::thread::hardware_concurrency() / 4, kMostThreads - 1);
  std::vector<std::jthread> helpers;
  for (std::size_t i = 0; i < helper_count; ++i) helpers.emplace_back([this] { CopyWhatIsNext(); });
  CopyWhatIsNext();
}

void StateSnapshot::CopyWhatIsNext() {
  for (std::size_t i = next_++; i < from_pool_.size(); i = next_++) {
    const Copy& copy = from_pool_[i];
    std::memcpy(copy.target, copy.source, static_cast<std::size_t>(copy.size_bytes));
    is_copied_[i] = true;
    is_copied_[i].notify_all();
  }
}

void StateSnapshot::Wait() const {
  if (copying_.valid()) copying_.get();
}

void StateSnapshot::AwaitPool(const std::byte* begin, std::int64_t size_bytes) const {
  if (is_pool_copied_) return;
  const std::byte* const end = begin + size_bytes;
  for (std::size_t i = 0; i < from_pool_.size(); ++i) {
    const Copy& copy = from_pool_[i];
    if (copy.source < end && begin < copy.source + copy.size_bytes) is_copied_[i].wait(false);
  }
}

}  // namespace stint
