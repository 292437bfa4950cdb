// Runs random plans on a machine of three streams that take their steps in any order the waits
// allow, a copy byte range by byte range, and looks whether every op finds what it should.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <random>
#include <string>
#include <utility>

#include "executor/copy_waits.h"
#include "ir/effects.h"
#include "ir/units.h"
#include "tests/support/graphs.h"
#include "tests/support/plans.h"

namespace stint {
namespace {

/// What a block of 512 bytes holds: a block of a value, or nothing that anyone knows.
struct Content {
  std::int32_t buffer = -1;
  std::int32_t version = -1;
  std::int64_t block = -1;

  bool operator==(const Content&) const = default;
};
using Memory = std::map<std::int64_t, Content>;  // By block.

/// One step of a stream: something that happens at once.
struct Step {
  std::vector<Wait> waits{};  // Before it.
  Stream stream{};
  std::int32_t count = 0;  // Of pieces done after it; 0: the piece goes on.
  std::size_t instruction = 0;
  std::int64_t block = -1;  // Of a copy's range.
};

class Machine {
 public:
  Machine(const Profile& profile, const Plan& plan, std::vector<PartWaits> parts,
          std::uint32_t seed)
      : profile_(profile),
        plan_(plan),
        parts_(std::move(parts)),
        effects_(DeriveEffects(profile)),
        random_(seed) {}

  /// @returns the first fault, in words; empty if there is none.
  std::string Run() {
    for (const Placement& placement : plan_.initial) {
      SetPlace(placement.buffer, placement.offset_bytes);
      Write(placement.buffer, 0);
    }
    for (std::size_t i = 0; i < profile_.buffers.size(); ++i) {
      if (!profile_.buffers[i].is_persistent || profile_.buffers[i].is_host) continue;
      if (std::ranges::any_of(plan_.initial, [&](const Placement& placement) {
            return Index(placement.buffer) == i;
          })) {
        continue;
      }
      const std::int64_t host_block = HostOffset(BufferId(i)) / 512;
      for (std::int64_t block = 0; block < BlocksOf(BufferId(i)); ++block) {
        host_[host_block + block] = {
            .buffer = static_cast<std::int32_t>(i), .version = 0, .block = block};
      }
    }
    for (std::size_t i = 0; i < plan_.phases.size(); ++i) {
      RunPart(plan_.phases[i].prologue, parts_[3 * i]);
      RunPart(plan_.phases[i].body, parts_[3 * i + 1]);
      RunPart(plan_.phases[i].epilogue, parts_[3 * i + 2]);
    }
    return fault_;
  }

 private:
  std::int64_t BlocksOf(BufferId id) const {
    return AlignUp(profile_.buffers[Index(id)].size_bytes) / 512;
  }

  std::int64_t HostOffset(BufferId id) const {
    for (const Placement& placement : plan_.host) {
      if (placement.buffer == id) return placement.offset_bytes;
    }
    for (const Shard& shard : plan_.shards) {
      for (const Placement& member : shard.members) {
        if (member.buffer == id) return shard.host_offset_bytes + member.offset_bytes;
      }
    }
    throw std::logic_error("has no place on the host");
  }

  std::int64_t HostOffset(const Instruction& copy) const {
    return copy.shard ? plan_.shards[Index(*copy.shard)].host_offset_bytes
                      : HostOffset(*copy.buffer);
  }
  std::int64_t BlocksOf(const Instruction& copy) const {
    return copy.shard ? AlignUp(plan_.shards[Index(*copy.shard)].size_bytes) / 512
                      : BlocksOf(*copy.buffer);
  }

  void SetPlace(BufferId id, std::int64_t offset_bytes) { places_[id] = offset_bytes / 512; }

  void Write(BufferId id, std::int32_t version) {
    for (std::int64_t block = 0; block < BlocksOf(id); ++block) {
      arena_[places_[id] + block] = {
          .buffer = static_cast<std::int32_t>(id), .version = version, .block = block};
    }
  }

  void RunPart(const std::vector<Instruction>& instructions, const PartWaits& waits) {
    std::array<std::vector<Step>, kStreamCount> queues;
    for (std::size_t i = 0; i < instructions.size(); ++i)
      AddSteps(instructions[i], waits, i, queues);
    followed_ = instructions.data();
    std::array<std::size_t, kStreamCount> heads{};
    std::array<std::int32_t, kStreamCount> counts{};
    while (fault_.empty()) {
      std::vector<std::size_t> ready;
      bool is_done = true;
      for (std::size_t s = 0; s < kStreamCount; ++s) {
        if (heads[s] == queues[s].size()) continue;
        is_done = false;
        if (std::ranges::all_of(queues[s][heads[s]].waits, [&](const Wait& wait) {
              return counts[static_cast<std::size_t>(wait.stream)] >= wait.count;
            })) {
          ready.push_back(s);
        }
      }
      if (is_done) return FollowFetches(instructions.data() + instructions.size());
      if (ready.empty()) {
        fault_ = "the streams wait for each other";
        return;
      }
      const std::size_t s = Choose(ready);
      const Step& step = queues[s][heads[s]++];
      Do(instructions[step.instruction], waits.instructions[step.instruction], step);
      if (step.count > 0) counts[s] = step.count;
    }
  }

  /// One stream is faster than the others most of the time; which one, varies.
  std::size_t Choose(const std::vector<std::size_t>& ready) {
    if (random_() % 16 == 0) fast_ = random_() % kStreamCount;
    if (std::ranges::find(ready, fast_) != ready.end() && random_() % 4 != 0) return fast_;
    return ready[random_() % ready.size()];
  }

  void AddSteps(const Instruction& instruction, const PartWaits& waits, std::size_t i,
                std::array<std::vector<Step>, kStreamCount>& queues) const {
    const InstructionWaits& own = waits.instructions[i];
    const std::int64_t step_count =
        own.stream == Stream::kCompute ? 1 : std::max<std::int64_t>(BlocksOf(instruction), 1);
    for (std::int64_t block = 0; block < step_count; ++block) {
      queues[static_cast<std::size_t>(own.stream)].push_back(
          {.waits = block == 0 ? own.waits : std::vector<Wait>{},
           .stream = own.stream,
           .count = block + 1 == step_count ? own.count : 0,
           .instruction = i,
           .block = block});
    }
  }

  void Do(const Instruction& instruction, const InstructionWaits& own, const Step& step) {
    if (own.stream == Stream::kCompute) FollowFetches(&instruction);
    if (instruction.kind == InstructionKind::kCompute) return Compute(instruction);
    if (BlocksOf(instruction) == 0) return;
    if (own.stream == Stream::kCompute) return Forget(instruction);
    const std::int64_t arena_block = own.offset_bytes / 512 + step.block;
    const std::int64_t host_block = HostOffset(instruction) / 512 + step.block;
    if (instruction.kind == InstructionKind::kOffload) {
      host_[host_block] = std::exchange(arena_[arena_block], {});
    } else {
      arena_[arena_block] = host_[host_block];
    }
  }

  /// What a residence leaves is nothing.
  void Forget(const Instruction& leave) {
    const Placement first = leave.shard ? plan_.shards[Index(*leave.shard)].members.front()
                                        : Placement{.buffer = *leave.buffer};
    const std::int64_t begin_block = places_.at(first.buffer) - first.offset_bytes / 512;
    for (std::int64_t i = 0; i < BlocksOf(leave); ++i) arena_[begin_block + i] = {};
  }

  void Compute(const Instruction& compute) {
    const OpEffects& effects = effects_[Index(compute.op)];
    for (const Value& value : effects.reads) {
      for (std::int64_t block = 0; block < BlocksOf(value.buffer); ++block) {
        const Content expected = {.buffer = static_cast<std::int32_t>(value.buffer),
                                  .version = value.version,
                                  .block = block};
        if (arena_[places_.at(value.buffer) + block] == expected) continue;
        fault_ = "op " + std::to_string(Index(compute.op)) + " does not find buffer " +
                 std::to_string(Index(value.buffer));
        return;
      }
    }
    const std::vector<Request>& requests = profile_.ops[Index(compute.op)].requests;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      for (std::int64_t block = 0; block < AlignUp(requests[i].size_bytes) / 512; ++block) {
        arena_[compute.request_offsets[i] / 512 + block] = {};
      }
      const auto& buffer = requests[i].buffer;
      if (!buffer || std::ranges::binary_search(compute.discards, *buffer)) continue;
      SetPlace(*buffer, compute.request_offsets[i]);
      Write(*buffer, 0);
    }
    for (const Value& value : effects.writes) Write(value.buffer, value.version);
  }

  /// Takes over the residences that fetches before `end` began. Compute runs in the plan's order,
  /// so where it looks follows from the plan, whatever the copies do.
  void FollowFetches(const Instruction* end) {
    for (; followed_ < end; ++followed_) {
      if (followed_->kind != InstructionKind::kFetch) continue;
      if (followed_->buffer) SetPlace(*followed_->buffer, followed_->offset_bytes);
      if (!followed_->shard) continue;
      for (const Placement& member : plan_.shards[Index(*followed_->shard)].members) {
        SetPlace(member.buffer, followed_->offset_bytes + member.offset_bytes);
      }
    }
  }

  const Profile& profile_;
  const Plan& plan_;
  const std::vector<PartWaits> parts_;
  const std::vector<OpEffects> effects_;
  std::mt19937 random_;
  std::size_t fast_ = 0;
  Memory arena_{};
  Memory host_{};
  std::map<BufferId, std::int64_t> places_{};  // In blocks.
  const Instruction* followed_ = nullptr;      // Of the part at hand: the first not taken over.
  std::string fault_{};
};

constexpr std::uint32_t kOrderCount = 10;

struct Case {
  Profile profile{};
  Plan plan{};
};

/// Random plans; made once, since checking them takes the longest.
const std::vector<Case>& Cases() {
  static const std::vector<Case> cases = [] {
    std::vector<Case> made(60);
    for (std::uint32_t seed = 0; seed < made.size(); ++seed) {
      made[seed].profile = fixtures::RandomProfile(seed);
      made[seed].plan = fixtures::RandomPlan(made[seed].profile, seed);
    }
    return made;
  }();
  return cases;
}

TEST(CopyWaitsProperty, EveryOpFindsItsValuesInWhateverOrderTheStreamsRun) {
  int copy_count = 0;
  for (const auto& [profile, plan] : Cases()) {
    const std::vector<PartWaits> waits = DeriveWaits(profile, plan);
    for (const PartWaits& part : waits) copy_count += part.has_copies ? 1 : 0;
    for (std::uint32_t order = 0; order < kOrderCount; ++order) {
      ASSERT_EQ(Machine(profile, plan, waits, order).Run(), "") << PlanSha256(plan);
    }
  }
  EXPECT_GT(copy_count, 40);  // Parts.
}

/// Whether some plan goes wrong when `waiting` does not wait for `awaited`.
bool IsNeeded(Stream waiting, Stream awaited) {
  for (const auto& [profile, plan] : Cases()) {
    std::vector<PartWaits> waits = DeriveWaits(profile, plan);
    for (PartWaits& part : waits) {
      for (InstructionWaits& own : part.instructions) {
        if (own.stream != waiting) continue;
        std::erase_if(own.waits, [&](const Wait& wait) { return wait.stream == awaited; });
      }
    }
    for (std::uint32_t order = 0; order < kOrderCount; ++order) {
      if (!Machine(profile, plan, waits, order).Run().empty()) return true;
    }
  }
  return false;
}

TEST(CopyWaitsProperty, WithoutWaitsOfAnyKindSomeOpFindsSomethingElse) {
  for (const Stream waiting : {Stream::kCompute, Stream::kToHost, Stream::kToDevice}) {
    for (const Stream awaited : {Stream::kCompute, Stream::kToHost, Stream::kToDevice}) {
      if (waiting == awaited) continue;
      // An offload after the fetch of the same buffer, with no compute between: no plan has it.
      if (waiting == Stream::kToHost && awaited == Stream::kToDevice) continue;
      EXPECT_TRUE(IsNeeded(waiting, awaited))
          << "stream " << static_cast<int>(waiting) << " for " << static_cast<int>(awaited);
    }
  }
}

}  // namespace
}  // namespace stint
